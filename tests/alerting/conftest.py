"""Fixtures of the alerting tests."""

from tests.support.plugin.fixtures import plugin

__all__ = ["plugin"]
