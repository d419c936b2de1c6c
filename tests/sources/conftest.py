"""Fixtures of the tests of several sources: a plugin, and PostgreSQL servers for the sources that need one."""

from tests.support.plugin.fixtures import plugin
from tests.support.postgres.servers import empty_database, server, shards

__all__ = ["empty_database", "plugin", "server", "shards"]
