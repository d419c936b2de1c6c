"""Fixtures of the tests with PostgreSQL."""

from tests.mirror.sites import pristine, site, writer
from tests.postgres.servers import empty_database, server, shards

__all__ = ["empty_database", "pristine", "server", "shards", "site", "writer"]
