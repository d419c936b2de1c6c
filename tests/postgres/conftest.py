"""Fixtures of the tests with PostgreSQL."""

from tests.support.mirrors import pristine, site, writer
from tests.support.postgres.servers import empty_database, server, shards

__all__ = ["empty_database", "pristine", "server", "shards", "site", "writer"]
