"""A server's queue and limits protect it from plugins that merge sources."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ceems_grpc.bridge.sharing import ServerPolicy, SharedDatabase
from ceems_grpc.bridge.store_service import StoreLimits, StoreService, _cut
from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.settings import Settings
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.plan import (
    ALWAYS,
    Aggregate,
    AllOf,
    AnyOf,
    Compare,
    Count,
    Distinct,
    Histogram,
    In,
    Instant,
    KeyScan,
    Order,
    PairIn,
    RanWithin,
    Running,
    Scan,
    Spread,
    Table,
    Within,
)
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.store import RemoteStore
from ceems_grpc.store.runtime.admission import Lane, Queue
from ceems_grpc.store.runtime.cost import CostClass, cost_of_plan
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.bridge_servers import Files, Server, serving
from tests.support.compare import check_same
from tests.support.databases import PARIS, make, unit
from tests.support.plans import Plan, ask
from tests.support.plugin.process import Asker

DAY = 86_400
UNITS = 20_000  # several batches, and more than what messages in transit hold
SMALL = Distinct(Table.UNITS, ("cluster_id",))
LARGE = Aggregate(Table.UNITS, (), (Count("n"),))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    units = [unit(index, tags=json.dumps({"note": "x" * 600})) for index in range(UNITS)]
    return make(tmp_path_factory.mktemp("site") / "ceems.db", units)


@asynccontextmanager
async def remote(path: Path, queue: Queue, limits: StoreLimits | None = None) -> AsyncIterator[RemoteStore]:
    """Serve a database on loopback with the test's own queue, and open it as a remote store."""
    live = SqliteStore(path, zone=PARIS)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([StoreService(live, queue, limits).handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    store = RemoteStore(Endpoint(f"127.0.0.1:{port}", plain_text=True))
    try:
        yield store
    finally:
        await store.close()
        await server.stop(5)
        await live.close()


def endpoint(files: Files, server: Server) -> Endpoint:
    return Endpoint(f"localhost:{server.port}", token=files.token, ca_cert=files.authority.certificate)


def narrow(waiting: int = 0) -> Queue:
    """Return a queue with one place in each lane, and a limited number of waiting places."""
    return Queue({cost: Lane(cost, running=1, waiting=waiting) for cost in CostClass})


async def test_plans_take_their_turn_in_the_lane_of_their_size(database: Path) -> None:
    queue = narrow()
    async with remote(database, queue) as store, store.read() as reader:
        for busy, held_up, free in ((CostClass.SMALL, SMALL, LARGE), (CostClass.LARGE, LARGE, SMALL)):
            async with queue.turn(busy):
                with pytest.raises(StoreBusyError, match="busy"):
                    await ask(reader, held_up)
                assert (await ask(reader, free)).num_rows == 1
            assert (await ask(reader, held_up)).num_rows == 1


async def test_readers_and_descriptions_take_a_turn_too(database: Path) -> None:
    queue = narrow()
    async with remote(database, queue) as store:
        async with queue.turn(CostClass.SMALL):
            with pytest.raises(StoreBusyError):
                async with store.read():
                    pass
            with pytest.raises(StoreBusyError):
                await store.facts()
        assert (await store.facts()).units == UNITS


async def test_nobody_holds_a_turn_who_does_not_read_on(database: Path) -> None:
    """A plugin that merges two servers reads from one while it waits for the other."""
    scan = Scan(Table.UNITS, ("uuid", "tags"), order=(Order("uuid"),))
    # One question waits: the server prepares the next rows of an answer before the previous ones have been read.
    async with remote(database, narrow(1)) as store, store.read() as first, store.read() as second:
        halfway = first.batches(scan)
        begun = await anext(halfway)
        async with asyncio.timeout(30):
            other = [batch async for batch in second.batches(scan)]
        rest = [batch async for batch in halfway]
        check_same(scan, pa.Table.from_batches([begun, *rest]), pa.Table.from_batches(other))


async def test_who_has_waited_long_enough_is_told(database: Path) -> None:
    slow = Aggregate(Table.UNITS, ("uuid",), tuple(Count(f"n{number}") for number in range(40)))
    async with remote(database, Queue(), StoreLimits(seconds=0.0001)) as store:
        with pytest.raises(StoreBusyError, match=r"stopped the question after 0\.0001 s") as caught:
            async with store.read() as reader:
                await ask(reader, slow)
        assert "--query-timeout" in caught.value.detail


@pytest.mark.parametrize("by_batches", [False, True])
async def test_a_server_gives_no_more_units_than_it_may(database: Path, by_batches: bool) -> None:
    scan = Scan(Table.UNITS, ("uuid",), order=(Order("uuid"),))

    async def rows(store: RemoteStore, asked: Scan) -> int:
        async with store.read() as reader:
            if by_batches:
                return sum([batch.num_rows async for batch in reader.batches(asked)])
            return int((await reader.table(asked)).num_rows)

    async with remote(database, Queue(), StoreLimits(rows=1_000)) as store:
        # A plugin with the same limit requests one more row, to see whether there are more.
        assert await rows(store, replace(scan, limit=1_001)) == 1_001
        for asked in (scan, replace(scan, limit=1_002)):
            with pytest.raises(StoreError, match="at most 1000 units") as caught:
                await rows(store, asked)
            assert "--row-limit" in caught.value.detail
    async with remote(database, Queue(), StoreLimits(rows=UNITS)) as store:
        assert await rows(store, scan) == UNITS


async def test_answers_are_cut_to_the_messages_that_a_server_may_send(database: Path, tmp_path: Path) -> None:
    """A server with small messages sends answers that are larger than one message, complete."""
    files = Files(tmp_path)
    arguments = ("--database", str(database), "--mirror", "off", "--max-answer-size", "1", *files.tls, *files.tokens)
    columns = ("uuid", "tags", "name", "username", "project", "allocation", "created_at", "started_at", "ended_at")
    scan = Scan(Table.UNITS, columns, order=(Order("uuid"),))
    live = SqliteStore(database, zone=PARIS)
    async with live.read() as reader:
        wanted = await reader.table(scan)
    await live.close()
    assert wanted.nbytes > 1024 * 1024
    async with serving(*arguments) as server:
        store = RemoteStore(endpoint(files, server))
        async with store.read() as reader:
            check_same(scan, await reader.table(scan), wanted)
            batches = [batch async for batch in reader.batches(scan)]
            check_same(scan, pa.Table.from_batches(batches), wanted)
        await store.close()


async def test_options_of_the_server_reach_the_store_service(database: Path, tmp_path: Path) -> None:
    files = Files(tmp_path)
    arguments = ("--database", str(database), "--mirror", "off", "--row-limit", "10", *files.tls, *files.tokens)
    async with serving(*arguments) as server:
        store = RemoteStore(endpoint(files, server))
        async with store.read() as reader:
            with pytest.raises(StoreError, match="at most 10 units"):
                await reader.table(Scan(Table.UNITS, ("uuid",)))
        await store.close()


@given(st.lists(st.integers(0, 300), max_size=40), st.integers(1, 500))
def test_pieces_are_small_and_together_the_whole(lengths: list[int], most: int) -> None:
    """Also if one row is much larger than the others."""
    table = pa.table({"text": pa.array(["x" * length for length in lengths], pa.string())})
    pieces = list(_cut(table, most))
    assert pa.concat_tables(pieces).equals(table)
    assert all(piece.num_rows <= 1 or piece.nbytes <= most for piece in pieces)
    assert all(piece.num_rows for piece in pieces) or not lengths


ANN = In("username", ("ann",))
DAYS = Within(Instant.ENDED, 0, DAY), Within(Instant.ENDED, 0, 10 * DAY), Within(Instant.ENDED, 0, 300 * DAY)
COSTS: list[tuple[Plan, CostClass]] = [
    (Aggregate(Table.UNITS, (), (), DAYS[0]), CostClass.SMALL),
    (Aggregate(Table.UNITS, (), (), DAYS[1]), CostClass.LARGE),
    (Aggregate(Table.UNITS, (), (), AllOf((DAYS[1], ANN))), CostClass.SMALL),
    (Aggregate(Table.UNITS, (), (), AllOf((DAYS[1], In("username", ("ann",), negate=True)))), CostClass.LARGE),
    (
        Aggregate(Table.UNITS, (), (), AllOf((DAYS[1], PairIn(("cluster_id", "project"), (("a", "b"),))))),
        CostClass.SMALL,
    ),
    (Aggregate(Table.UNITS, (), (), AllOf((DAYS[1], AnyOf((ANN, In("cluster_id", ("a",))))))), CostClass.LARGE),
    (Aggregate(Table.UNITS, (), (), AllOf((DAYS[2], ANN))), CostClass.LARGE),
    (Scan(Table.UNITS, ("uuid",), In("uuid", ("1",))), CostClass.SMALL),
    (Scan(Table.UNITS, ("uuid",), AnyOf((DAYS[0], Running()))), CostClass.SMALL),
    (Scan(Table.UNITS, ("uuid",), AnyOf((DAYS[0], Compare("num_updates", ">", 1)))), CostClass.LARGE),
    (Scan(Table.UNITS, ("uuid",)), CostClass.LARGE),
    (Scan(Table.USAGE, ("username",)), CostClass.SMALL),
    (Spread((), (), DAYS[1], (0,), 1), CostClass.LARGE),
    (Spread((), (), RanWithin(0, DAY), (0,), DAY), CostClass.SMALL),
    (Spread((), (), RanWithin(0, 10 * DAY), (0,), 10 * DAY), CostClass.LARGE),
    (Histogram((), None, (), DAYS[0]), CostClass.SMALL),
    (Histogram((), None, (), DAYS[1]), CostClass.LARGE),
    (Aggregate(Table.DAILY_USAGE, (), (), DAYS[1]), CostClass.SMALL),
    (Aggregate(Table.DAILY_USAGE, (), (), DAYS[2]), CostClass.LARGE),
    (KeyScan(Table.UNITS, ("tags",), recent=100), CostClass.SMALL),
    (KeyScan(Table.UNITS, ("tags",), ALWAYS), CostClass.LARGE),
    (Distinct(Table.UNITS, ("cluster_id",)), CostClass.SMALL),
]


@pytest.mark.parametrize(("plan", "cost"), COSTS)
def test_plans_are_weighed_by_their_span_and_whom_they_name(plan: Plan, cost: CostClass) -> None:
    assert cost_of_plan(plan) is cost


async def test_a_plugins_own_services_and_merged_questions_wait_in_one_queue(database: Path) -> None:
    """The server's data source and its store service share the lanes of one queue."""
    settings = Settings.from_json(b'{"path": "%s", "mirror": {"mode": "off"}}' % str(database).encode())
    shared = SharedDatabase(ServerPolicy(settings))
    shared.queue = narrow()
    context = PluginContext.from_proto(Asker("ann").context())
    async with shared.queue.turn(CostClass.SMALL), shared.get(context) as view:
        health = await asyncio.wait_for(view.check_health(context), 10)
    assert "busy" in health.message
    await shared.close()
