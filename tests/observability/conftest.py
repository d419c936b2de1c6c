"""Fixtures of the tests of observability."""

from tests.support.plugin.fixtures import plugin

__all__ = ["plugin"]
