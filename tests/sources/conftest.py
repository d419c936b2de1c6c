"""PostgreSQL servers, for lists in which one source is in PostgreSQL."""

from tests.postgres.servers import empty_database, server, shards

__all__ = ["empty_database", "server", "shards"]
