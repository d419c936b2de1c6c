"""The recorded answers, from a database that is fed into PostgreSQL: on one server, and spread over shards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.golden.panels_and_rest import differences
from tests.support.plugin.ceems import COMMAND, CeemsPlugin
from tests.support.plugin.process import running
from tests.support.postgres.servers import PASSWORD, SUPERUSER, Server, Shards
from tests.support.postgres.setup import FEEDER, READER, new_sharded_database
from tests.support.postgres.stores import fed
from tests.support.recordings import ALL, Recordings


@asynccontextmanager
async def plugin_on(server: Server, database: str, user: str, password: str) -> AsyncIterator[CeemsPlugin]:
    """Run the plugin with a data source on a PostgreSQL database."""
    async with running(COMMAND) as plugin:
        yield CeemsPlugin(plugin, {"postgres": server.url(database, user)}, {"postgresPassword": password})


@pytest.mark.parametrize("recordings", ALL, ids=lambda recordings: recordings.name)
async def test_recorded_answers(server: Server, empty_database: str, recordings: Recordings) -> None:
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
    for server in shards.shards.values():  # every part has rows
        ((count,),) = server.rows("SELECT reltuples > 0 OR pg_relation_size(oid) > 0 FROM pg_class"
                                  " WHERE relname LIKE 'units_p_'", database)  # fmt: skip
        assert count
