"""Fixtures of the API's tests."""

from tests.support.plugin.fixtures import plugin

__all__ = ["plugin"]
