"""Fixtures of the mirror's tests."""

from tests.mirror.sites import pristine, site, writer

__all__ = ["pristine", "site", "writer"]
