-- What the feeder and the readers may do with the tables. Run as ceems_owner on every server, after the tables were made
-- there by the statements of `ceems-grpc feed --print-setup`:
--
--   psql -d ceems -v schema=ceems -f grants.sql
\set ON_ERROR_STOP on

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO ceems_feeder;
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO ceems_reader;

-- Only the coordinator has these. The feeder does not change which layout the tables have, and what it notes for itself
-- (the path of the file, for example) is nobody else's.
SELECT format('REVOKE INSERT, UPDATE, DELETE ON %I.layout FROM ceems_feeder', :'schema')
 WHERE to_regclass(format('%I.layout', :'schema')) IS NOT NULL \gexec
SELECT format('REVOKE ALL ON %I.feed_state FROM ceems_reader', :'schema')
 WHERE to_regclass(format('%I.feed_state', :'schema')) IS NOT NULL \gexec
SELECT format('GRANT EXECUTE ON FUNCTION %I.add_columns(text, text[], text) TO ceems_feeder', :'schema')
 WHERE to_regprocedure(format('%I.add_columns(text, text[], text)', :'schema')) IS NOT NULL \gexec
