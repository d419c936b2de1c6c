"""Fixtures of tests that query the real plugin; a folder's conftest.py imports those that the folder uses."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.plugin.ceems import COMMAND
from tests.support.plugin.process import Plugin, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plugin() -> AsyncIterator[Plugin]:
    """One running plugin for all tests of a module."""
    async with running(COMMAND) as started:
        yield started
