"""Fixtures of the mirror's tests."""

from tests.support.mirrors import pristine, site, writer

__all__ = ["pristine", "site", "writer"]
