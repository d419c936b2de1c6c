-- Creates the three roles, each with no more rights than it needs. Run it once as a superuser, on every server (the
-- coordinator and each shard), in the database of the tables:
--
--   psql -d ceems -v ON_ERROR_STOP=1 -v schema=ceems -v owner_password=... -v feeder_password=... -v reader_password=... \
--        -f roles.sql
--
-- ceems_owner   owns the schema and its tables; not used day to day
-- ceems_feeder  `ceems-grpc feed`: writes rows, and adds columns through a function of the owner
-- ceems_reader  data sources in Grafana: reads
\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['ceems_owner', 'ceems_feeder', 'ceems_reader']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE ceems_owner NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE ceems_feeder NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'feeder_password';
ALTER ROLE ceems_reader NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'reader_password';

REVOKE CREATE, TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO ceems_owner, ceems_feeder, ceems_reader;
-- The feeder collects rows for shards in a temporary table, to send many at a time.
GRANT TEMPORARY ON DATABASE :"DBNAME" TO ceems_feeder;

CREATE SCHEMA IF NOT EXISTS :"schema" AUTHORIZATION ceems_owner;
GRANT USAGE ON SCHEMA :"schema" TO ceems_feeder, ceems_reader;

ALTER ROLE ceems_reader IN DATABASE :"DBNAME" SET default_transaction_read_only = on;
ALTER ROLE ceems_reader IN DATABASE :"DBNAME" SET enable_partitionwise_aggregate = on;
ALTER ROLE ceems_feeder IN DATABASE :"DBNAME" SET enable_partitionwise_aggregate = on;
