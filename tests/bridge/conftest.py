"""One running plugin for all tests of a module."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.bridge.servers import Files
from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import COMMAND
from tests.support.plugin.process import Plugin, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plugin() -> AsyncIterator[Plugin]:
    async with running(COMMAND) as plugin:
        yield plugin


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def database() -> Path:
    return SYNTHETIC
