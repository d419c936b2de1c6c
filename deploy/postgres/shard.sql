-- Make one shard known to the coordinator. Run as a superuser on the coordinator, once for each shard, after roles.sql
-- was run on both:
--
--   psql -d ceems -v shard=shard1 -v host=shard1.example.org -v port=5432 -v dbname=ceems -v owner_password=... \
--        -v feeder_password=... -v reader_password=... -f shard.sql
--
-- The passwords are those that roles.sql gave the roles on the shard.
\set ON_ERROR_STOP on

CREATE EXTENSION IF NOT EXISTS postgres_fdw;
-- Columns of new metric keys are made on the shards through it.
CREATE EXTENSION IF NOT EXISTS dblink;

CREATE SERVER :"shard" FOREIGN DATA WRAPPER postgres_fdw OPTIONS (
    host :'host', port :'port', dbname :'dbname',
    connect_timeout '10', keepalives_idle '30', keepalives_interval '10', keepalives_count '3', tcp_user_timeout '60000',
    async_capable 'true',        -- shards work at the same time
    use_remote_estimate 'true',  -- the coordinator knows nothing of how many rows there are
    fdw_tuple_cost '0.2',        -- rows that travel cost more than PostgreSQL before 17 assumes
    fetch_size '10000',          -- rows a round trip, when many are read
    batch_size '500'             -- rows a statement, when the feeder writes
);
GRANT USAGE ON FOREIGN SERVER :"shard" TO ceems_owner;

CREATE USER MAPPING FOR ceems_owner SERVER :"shard" OPTIONS (user 'ceems_owner', password :'owner_password');
CREATE USER MAPPING FOR ceems_feeder SERVER :"shard" OPTIONS (user 'ceems_feeder', password :'feeder_password');
CREATE USER MAPPING FOR ceems_reader SERVER :"shard" OPTIONS (user 'ceems_reader', password :'reader_password');
