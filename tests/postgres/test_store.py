"""The store on a real server: its facts, moments, several sites, lost connections, stopped questions."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES
from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.plan import (
    Aggregate,
    AllKeys,
    Count,
    Distinct,
    Holds,
    In,
    Key,
    KeyScan,
    Order,
    Scan,
    Sum,
    Table,
)
from ceems_grpc.store.postgres.connection import Address, PostgresConnection
from ceems_grpc.store.postgres.store import PostgresStore
from ceems_grpc.store.protocols import Facts
from tests.support.compare import check_same
from tests.support.mirrors import PLANS, ZONE, count
from tests.support.plans import ask
from tests.support.postgres.servers import Server
from tests.support.postgres.stores import connections, disconnect, fed, file, is_waiting, locked, opened, units_of
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def filled(server: Server, pristine: Path) -> str:
    """Return a database with one site, which tests only read."""
    name = server.new_database()
    fed(server, name, pristine, ZONE)
    return name


@pytest.fixture
async def store(server: Server, filled: str) -> AsyncIterator[PostgresStore]:
    async with opened(server, filled) as found:
        yield found


# Facts


async def test_facts_are_those_of_the_file(server: Server, store: PostgresStore, pristine: Path, filled: str) -> None:
    facts = await store.facts()
    async with file(pristine, ZONE) as live:
        wanted = await live.facts()
    assert facts.location == server.url(filled)
    assert (facts.schema_version, facts.zone, facts.clusters) == (
        wanted.schema_version,
        "Europe/Paris",
        wanted.clusters,
    )
    assert (facts.units, facts.missing_tables) == (1_500, ())
    newest = sqlite3.connect(pristine).execute("SELECT max(last_updated_at) FROM units").fetchone()[0]
    assert facts.newest_update is not None
    assert facts.newest_update.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M:%S") == newest


async def test_it_has_what_the_file_has(store: PostgresStore) -> None:
    async with store.read() as reader:
        assert reader.zone == ZONE
        assert reader.has(Table.UNITS, "avg_cpu_usage")
        assert reader.has(Table.ADMIN_USERS, "clusters")
        assert not reader.has(Table.UNITS, "avg_nothing")


async def test_rows_come_in_batches_of_one_schema(store: PostgresStore, pristine: Path) -> None:
    scan = Scan(Table.UNITS, ("id", "uuid", "total_time_seconds", "tags", "ended_at_ts"), order=(Order("id"),))
    async with store.read() as reader:
        batches = [batch async for batch in reader.batches(scan)]
        none = [batch async for batch in reader.batches(Scan(Table.UNITS, ("uuid",), In("uuid", ("nothing",))))]
    assert sum(batch.num_rows for batch in batches) == 1_500
    assert {str(batch.schema) for batch in batches} == {str(batches[0].schema)}
    assert [batch.num_rows for batch in none] == [0]
    async with file(pristine, ZONE) as live, live.read() as reader:
        (wanted,) = [batch async for batch in reader.batches(scan)]
    assert batches[0].schema == wanted.schema
    assert batches[0].column(1).equals(wanted.column(1))


async def test_batches_that_nobody_wants_to_the_end_leave_a_usable_connection(
    server: Server, pristine: Path, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ceems_grpc.store.postgres.reader._ROWS_A_BATCH", 100)
    async with opened(server, filled, connections=1) as store:
        async with store.read() as reader:
            batches = reader.batches(Scan(Table.UNITS, ("uuid",), order=(Order("id"),)))
            assert (await anext(batches)).num_rows == 100
        async with store.read() as reader:
            assert await count(reader) == 1_500
            sizes = [batch.num_rows async for batch in reader.batches(Scan(Table.UNITS, ("uuid",)))]
    assert sizes == [100] * 15 + [0]


# Moments


async def test_a_reader_sees_one_moment_and_versions_follow(server: Server, empty_database: str, site: Path) -> None:
    fed(server, empty_database, site, ZONE)
    async with opened(server, empty_database) as store:
        before = await store.version()
        async with store.read() as reader:
            assert await count(reader) == 1_500
            with closing(sqlite3.connect(site)) as writer:
                writer.execute("DELETE FROM units WHERE id <= 100")
                writer.commit()
            await asyncio.to_thread(fed, server, empty_database, site, ZONE)
            assert await count(reader) == 1_500
            assert await store.version() != before
        after = await store.version()
        async with store.read() as reader:
            assert await count(reader) == 1_400
        assert await store.version() == after


async def test_new_keys_are_there_at_once(server: Server, empty_database: str, site: Path) -> None:
    fed(server, empty_database, site, ZONE)
    async with opened(server, empty_database) as store:
        assert await units_of(store) == 1_500
        with closing(sqlite3.connect(site)) as writer:
            writer.execute("UPDATE units SET total_time_seconds = '{\"new_key\": 5}' WHERE id = 200")
            writer.commit()
        await asyncio.to_thread(fed, server, empty_database, site, ZONE)
        async with store.read() as reader:
            rows = await reader.aggregate(
                Aggregate(Table.UNITS, (), (Sum("new", Key("total_time_seconds", "new_key")),))
            )
            assert rows.to_pylist() == [{"new": 5.0}]


async def test_versions_can_be_asked_for_while_all_readers_are_open(server: Server, filled: str) -> None:
    async with asyncio.timeout(30), opened(server, filled, connections=2) as store:

        async def question() -> int:
            async with store.read() as reader:
                await store.version()
                return await count(reader)

        assert await asyncio.gather(*(question() for _ in range(12))) == [1_500] * 12


# Several sites


@pytest.fixture(scope="module")
def two_sites(server: Server, pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a database with a second site that has other clusters and another zone."""
    other = tmp_path_factory.mktemp("other") / "ceems.db"
    with closing(sqlite3.connect(pristine)) as source, closing(sqlite3.connect(other)) as target:
        source.backup(target)
        for table in ("units", "usage", "daily_usage", "projects", "users"):
            target.execute(f"UPDATE {table} SET cluster_id = 'far-' || cluster_id")
        target.execute("DELETE FROM admin_users")
        target.execute("INSERT INTO admin_users (name, cluster_id) VALUES ('farboss', 'all')")
        target.execute("DELETE FROM units WHERE id > 1000")
        target.commit()
    name = server.new_database()
    fed(server, name, pristine, ZONE)
    fed(server, name, other, ZoneInfo("America/New_York"), "far")
    return name


async def test_sites_are_answered_together(server: Server, two_sites: str) -> None:
    async with opened(server, two_sites) as store:
        facts: Facts = await store.facts()
        async with store.read() as reader:
            assert reader.zone is SEVERAL_ZONES
            assert await count(reader) == 2_500
            plan = Aggregate(Table.UNITS, ("cluster_id",), (Count("units"),), order=(Order("cluster_id"),))
            counts = {row["cluster_id"]: row["units"] for row in (await reader.aggregate(plan)).to_pylist()}
            newest = await reader.distinct(Distinct(Table.UNITS, ("cluster_id",), recent=300))
    near = {cluster for cluster in counts if not cluster.startswith("far-")}
    assert {f"far-{cluster}" for cluster in near} == counts.keys() - near
    assert sum(counts[cluster] for cluster in near) == 1_500
    assert facts.zone == "America/New_York, Europe/Paris"
    assert {cluster for cluster, _ in facts.clusters} == counts.keys()
    assert {source.name: source.facts.units for source in facts.sources if source.facts} == {
        "far": 1_000,
        "here": 1_500,
    }
    # Each site has its own rows that were added last.
    assert {cluster.startswith("far-") for cluster in newest.column(0).to_pylist()} == {True, False}


async def test_administrators_are_of_their_sites_clusters(server: Server, two_sites: str) -> None:
    async with opened(server, two_sites) as store, store.read() as reader:
        rows = await reader.table(Scan(Table.ADMIN_USERS, ("name", "clusters"), In("name", ("farboss",))))
        (clusters,) = rows.column("clusters").to_pylist()
        administered = msgspec.json.decode(clusters, type=list[str])
        assert administered
        assert all(cluster.startswith("far-") for cluster in administered)
        there = Holds("clusters", (administered[0], "none"))
        found = await reader.distinct(Distinct(Table.ADMIN_USERS, ("name",), there))
    assert found.column(0).to_pylist() == ["farboss"]


# Stopped questions and lost connections


async def test_a_stopped_question_stops_its_statement(server: Server, filled: str) -> None:
    async with opened(server, filled, connections=1) as store:
        with locked(server, filled, "units_p0"):
            question = asyncio.create_task(units_of(store))
            await eventually(lambda: is_waiting(server, filled))
            question.cancel()
            with pytest.raises(asyncio.CancelledError):
                await question
            assert not await is_waiting(server, filled)
        assert await units_of(store) == 1_500  # on the same connection


async def test_a_statement_that_takes_too_long_is_stopped_by_the_server(server: Server, filled: str) -> None:
    async with opened(server, filled, statement_timeout=0.2) as store:
        with locked(server, filled, "units_p0"), pytest.raises(StoreBusyError, match="in time"):
            await units_of(store)
        assert await units_of(store) == 1_500


async def test_lost_connections_are_made_anew(server: Server, filled: str) -> None:
    async with opened(server, filled) as store:
        await asyncio.gather(*(units_of(store) for _ in range(4)))
        await store.version()
        disconnect(server, filled)
        assert await units_of(store) == 1_500
        assert await store.version()


async def test_a_reader_that_has_given_nothing_goes_on_with_another_connection(server: Server, filled: str) -> None:
    async with opened(server, filled) as store, store.read() as reader:
        disconnect(server, filled)
        assert await count(reader) == 1_500
        disconnect(server, filled)
        with pytest.raises(StoreBusyError, match="lost"):  # another connection would read from another moment
            await count(reader)
    async with opened(server, filled) as store, store.read() as reader:
        batches = reader.batches(Scan(Table.UNITS, ("uuid",)))
        disconnect(server, filled)
        assert [batch.num_rows async for batch in batches] == [1_500]


async def test_a_question_that_gives_up_while_connecting_leaves_nothing(server: Server, filled: str) -> None:
    async with opened(server, filled, connections=1) as store:
        question = asyncio.create_task(units_of(store))
        await asyncio.sleep(0)
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question
        assert await units_of(store) == 1_500


def test_a_connection_that_is_made_when_the_loop_has_ended_is_closed(
    server: Server, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended = threading.Event(), threading.Event()
    made: list[PostgresConnection] = []

    class Late(PostgresConnection):
        def __init__(self, address: Address, statement_timeout: float | None) -> None:
            began.set()
            assert ended.wait(30)
            super().__init__(address, statement_timeout)
            made.append(self)

    async def give_up() -> None:
        async with opened(server, filled) as store:
            question = asyncio.create_task(units_of(store))
            assert await asyncio.to_thread(began.wait, 30)
            question.cancel()
            with pytest.raises(asyncio.CancelledError):
                await question

    async def made_and_closed() -> bool:
        return bool(made) and await asyncio.to_thread(connections, server, filled) == 0

    monkeypatch.setattr("ceems_grpc.store.postgres.pool.PostgresConnection", Late)
    asyncio.run(give_up())
    ended.set()
    asyncio.run(eventually(made_and_closed))


async def test_nothing_is_left_open(server: Server, filled: str) -> None:
    async with opened(server, filled) as store:
        async with store.read() as reader:
            await store.close()
            assert await count(reader) == 1_500

        async def all_closed() -> bool:
            return await asyncio.to_thread(connections, server, filled) == 0

        await eventually(all_closed)  # the server notices the end a little later


# All at once


async def test_answers_of_many_questions_at_once(server: Server, filled: str, pristine: Path) -> None:
    async with opened(server, filled, connections=3) as store, file(pristine, ZONE) as live:

        async def question(number: int) -> None:
            plan = PLANS[number % len(PLANS)]
            async with store.read() as reader, live.read() as other:
                check_same(plan, await ask(reader, plan), await ask(other, plan))

        await asyncio.gather(*map(question, range(30)))


async def test_keys_and_tables_without_rows(store: PostgresStore) -> None:
    nothing = In("uuid", ("nothing",))
    async with store.read() as reader:
        table = await reader.table(Scan(Table.UNITS, ("uuid", AllKeys("avg_cpu_usage")), nothing))
        assert table.column_names == ["uuid"]
        assert await reader.keys(KeyScan(Table.UNITS, ("avg_cpu_usage", "tags"), nothing)) == {
            "avg_cpu_usage": (),
            "tags": (),
        }
