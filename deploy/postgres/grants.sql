-- Grants the feeder and the readers their rights on the tables. Run it as ceems_owner on every server, after the
-- statements of `ceems-grpc feed --print-setup` have created the tables there:
--
--   psql -d ceems -v schema=ceems -f grants.sql
\set ON_ERROR_STOP on

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO ceems_feeder;
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO ceems_reader;

-- Only the coordinator has these tables. The feeder does not change the layout's version, and its own records (such as
-- the path of the file) are not for readers.
SELECT format('REVOKE INSERT, UPDATE, DELETE ON %I.layout FROM ceems_feeder', :'schema')
 WHERE to_regclass(format('%I.layout', :'schema')) IS NOT NULL \gexec
SELECT format('REVOKE ALL ON %I.feed_state FROM ceems_reader', :'schema')
 WHERE to_regclass(format('%I.feed_state', :'schema')) IS NOT NULL \gexec
SELECT format('GRANT EXECUTE ON FUNCTION %I.add_columns(text, text[], text) TO ceems_feeder', :'schema')
 WHERE to_regprocedure(format('%I.add_columns(text, text[], text)', :'schema')) IS NOT NULL \gexec
