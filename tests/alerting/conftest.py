"""Fixtures of the tests of alerting."""

from tests.support.plugin.fixtures import plugin

__all__ = ["plugin"]
