"""One plugin process for all tests of a module, and the site that it answers from."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.hostile.wellness import staying_well
from tests.support.people import write_people_site
from tests.support.plugin.fixtures import plugin
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source, source
from tests.support.postgres.servers import empty_database, server

__all__ = ["ceems", "database", "empty_database", "plugin", "server"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "ceems.db"
    write_people_site(path)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems(plugin: Plugin, database: Path) -> AsyncIterator[Source]:
    """Return the site as a data source; check at the end of the module that the process is well."""
    people = source(plugin, database)
    async with staying_well(plugin, people):
        yield people
