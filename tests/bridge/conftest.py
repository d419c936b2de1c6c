"""One running plugin for all tests of a module."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.bridge.servers import Files
from tests.golden.ceems_plugin import COMMAND
from tests.grafana.host import Plugin, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plugin() -> AsyncIterator[Plugin]:
    async with running(COMMAND) as plugin:
        yield plugin


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def database() -> Path:
    return Path(__file__).parents[1] / "golden" / "synthetic.db"
