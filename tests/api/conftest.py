"""One running plugin for all tests of a module."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.plugin.ceems import COMMAND
from tests.support.plugin.process import Plugin, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plugin() -> AsyncIterator[Plugin]:
    async with running(COMMAND) as plugin:
        yield plugin
