"""The recorded answers, from a data source whose database is fed into PostgreSQL: here, and spread over two servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.golden.ceems_plugin import COMMAND, CeemsPlugin
from tests.golden.recordings import ALL, Recordings
from tests.golden.test_api_recordings import difference as api_difference
from tests.golden.test_frame_recordings import as_query
from tests.golden.test_frame_recordings import difference as frame_difference
from tests.plugin.host import running
from tests.postgres.servers import PASSWORD, SUPERUSER, Server, Shards
from tests.postgres.sites import FEEDER, READER, new_sharded_database
from tests.postgres.stores import fed


@asynccontextmanager
async def plugin_on(server: Server, database: str, user: str, password: str) -> AsyncIterator[CeemsPlugin]:
    """Run the plugin with a data source on a PostgreSQL database."""
    async with running(COMMAND) as plugin:
        yield CeemsPlugin(plugin, {"postgres": server.url(database, user)}, {"postgresPassword": password})


async def differences(ceems: CeemsPlugin, recordings: Recordings) -> list[str]:
    """Ask all recorded questions through both faces, and say which answers differ."""
    cases = recordings.load()
    assert len(cases) >= 40
    few = asyncio.Semaphore(8)

    async def limited(check: AsyncIterator[str] | object) -> str:
        async with few:
            return await check  # type: ignore[misc,no-any-return]

    checks: list[object] = [api_difference(ceems, case) for case in cases]
    checks += [frame_difference(ceems, case) for case in cases if as_query(case) is not None]
    return [text for text in await asyncio.gather(*map(limited, checks)) if text]


@pytest.mark.parametrize("recordings", ALL, ids=lambda recordings: recordings.name)
async def test_recorded_answers(server: Server, empty_database: str, recordings: Recordings) -> None:
    recordings.load()
    fed(server, empty_database, recordings.database, None)
    async with plugin_on(server, empty_database, SUPERUSER, PASSWORD) as ceems:
        wrong = await differences(ceems, recordings)
    assert not wrong, "\n".join(sorted(wrong)[:10])


async def test_recorded_answers_of_shards(shards: Shards) -> None:
    database = new_sharded_database(shards)
    coordinator = shards.coordinator
    (recordings, *_) = ALL
    fed(coordinator, database, recordings.database, None, user="ceems_feeder", password=FEEDER)
    async with plugin_on(coordinator, database, "ceems_reader", READER) as ceems:
        wrong = await differences(ceems, recordings)
    assert not wrong, "\n".join(sorted(wrong)[:10])
    for server in shards.shards.values():  # all have rows
        ((count,),) = server.rows("SELECT reltuples > 0 OR pg_relation_size(oid) > 0 FROM pg_class"
                                  " WHERE relname LIKE 'units_p_'", database)  # fmt: skip
        assert count
