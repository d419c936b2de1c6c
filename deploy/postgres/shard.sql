-- Defines one shard on the coordinator. Run it as a superuser on the coordinator, once per shard, after running
-- roles.sql on both:
--
--   psql -d ceems -v shard=shard1 -v host=shard1.example.org -v port=5432 -v dbname=ceems -v owner_password=... \
--        -v feeder_password=... -v reader_password=... -f shard.sql
--
-- Use the passwords that roles.sql set for the roles on the shard.
\set ON_ERROR_STOP on

CREATE EXTENSION IF NOT EXISTS postgres_fdw;
-- Creates the columns of new metric keys on the shards.
CREATE EXTENSION IF NOT EXISTS dblink;

CREATE SERVER :"shard" FOREIGN DATA WRAPPER postgres_fdw OPTIONS (
    host :'host', port :'port', dbname :'dbname',
    connect_timeout '10', keepalives_idle '30', keepalives_interval '10', keepalives_count '3', tcp_user_timeout '60000',
    async_capable 'true',        -- the shards work in parallel
    use_remote_estimate 'true',  -- the coordinator has no statistics about the rows
    fdw_tuple_cost '0.2',        -- transferring rows costs more than PostgreSQL before 17 assumes
    fetch_size '10000',          -- rows per round trip when reading
    batch_size '500'             -- rows per statement when the feeder writes
);
GRANT USAGE ON FOREIGN SERVER :"shard" TO ceems_owner;

CREATE USER MAPPING FOR ceems_owner SERVER :"shard" OPTIONS (user 'ceems_owner', password :'owner_password');
CREATE USER MAPPING FOR ceems_feeder SERVER :"shard" OPTIONS (user 'ceems_feeder', password :'feeder_password');
CREATE USER MAPPING FOR ceems_reader SERVER :"shard" OPTIONS (user 'ceems_reader', password :'reader_password');
