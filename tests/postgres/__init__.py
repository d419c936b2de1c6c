"""Tests of databases in PostgreSQL: schema, feed, reading and shards."""
