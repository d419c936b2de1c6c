"""Shards aggregate their own rows in parallel: what the coordinator sends to them, as EXPLAIN shows it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.store.plan import (
    Aggregate,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Count,
    CountIf,
    Distinct,
    FirstBy,
    Histogram,
    In,
    Instant,
    Key,
    KeyScan,
    Moment,
    Order,
    PairIn,
    RanWithin,
    Running,
    RunTime,
    Scan,
    Spread,
    StartsWith,
    Sum,
    Table,
    Wait,
    WeightedSum,
    WeightOf,
    Within,
)
from ceems_grpc.store.postgres.connection import Address, PostgresConnection
from ceems_grpc.store.postgres.store import PostgresStore
from ceems_grpc.store.runtime.query_trace import TracedStatement, trace_query
from tests.support.compare import check_same
from tests.support.mirrors import NOW, ZONE
from tests.support.plans import Plan, ask
from tests.support.postgres.servers import Server, Shards
from tests.support.postgres.setup import FEEDER, READER, new_sharded_database
from tests.support.postgres.stores import fed, file

END = int(NOW.timestamp())
ENERGY = Key("total_cpu_energy_usage_kwh", "total")
USAGE, TIME = Key("avg_cpu_usage", "global"), Key("total_time_seconds", "alloc_cputime")
LAST_WEEK = Within(Instant.UPDATED, END - 7 * 86_400 + 100, END)
RAN_LAST_WEEK = RanWithin(END - 7 * 86_400 + 100, END)
# One of each kind of condition.
CONDITIONS: tuple[Condition, ...] = (
    AnyOf((Within(Instant.ENDED, END - 30 * 86_400, END), Running())),
    LAST_WEEK,
    In("state", ("NOWHERE",), negate=True),
    In("ignore", ("0", "5")),
    In(ENERGY, ("-1",), negate=True),
    Compare("ignore", "=", 0),
    Compare("started_at_ts", ">", 0.5),
    Compare(ENERGY, ">=", 0.0),
    PairIn(("cluster_id", "project"), (("nowhere", "nothing"), ("nowhere", "else"))),
    StartsWith("username", "U"),
    StartsWith("username", "U", negate=True),
    In(Key("tags", "uid"), ("nobody",), negate=True),
)
MEASURES = (
    Count("units"),
    CountIf("running", Running()),
    Sum("energy", ENERGY),
    Sum("updates", "num_updates"),
    WeightedSum("weighted", USAGE, TIME),
    WeightOf("weight", USAGE, TIME),
    FirstBy("manager", "resource_manager", "cluster_id"),
)
BY_PROJECT = Aggregate(Table.UNITS, ("project",), MEASURES, AnyOf((LAST_WEEK, Running())), (Order("project"),))


@pytest.fixture(scope="module")
def coordinator(shards: Shards) -> Server:
    return shards.coordinator


@pytest.fixture(scope="module")
def database(shards: Shards, pristine: Path) -> str:
    """Return a database with two shards, which tests only read."""
    name = new_sharded_database(shards)
    fed(shards.coordinator, name, pristine, ZONE, user="ceems_feeder", password=FEEDER)
    for shard, server in shards.shards.items():
        server.run("ANALYZE", database=name)
        # As with many more rows than a test has: transferred rows are expensive.
        _set_option(shards.coordinator, name, shard)
    return name


def _set_option(coordinator: Server, database: str, shard: str) -> None:
    ((options,),) = coordinator.rows(
        f"SELECT srvoptions::text FROM pg_foreign_server WHERE srvname = '{shard}'", database
    )
    verb = "SET" if "fdw_tuple_cost" in str(options) else "ADD"
    coordinator.run(f"ALTER SERVER {shard} OPTIONS ({verb} fdw_tuple_cost '10')", database=database)


async def nodes_of(coordinator: Server, database: str, plan: Plan) -> list[dict[str, Any]]:
    """Ask a question, and return the nodes of the query plans of its statements."""
    url = coordinator.url(database, "ceems_reader")
    store = PostgresStore(url, READER)
    connection = PostgresConnection(Address(url, READER), None)
    try:
        with trace_query() as trace:
            async with store.read() as reader:
                await ask(reader, plan)
        return [node for statement in trace.statements for node in _nodes(explained(connection, statement))]
    finally:
        connection.close()
        await store.close()


def explained(connection: PostgresConnection, statement: TracedStatement) -> dict[str, Any]:
    """Return the query plan of a statement."""
    parameters = [list(value) if isinstance(value, tuple) else value for value in statement.parameters]
    rows = connection.fetch(f"EXPLAIN (VERBOSE, FORMAT JSON) {statement.text}", parameters)
    plan: dict[str, Any] = json.loads(rows.column(0)[0].as_py())[0]["Plan"]
    return plan


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def foreign(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the nodes that query shards."""
    found = [node for node in nodes if node["Node Type"] == "Foreign Scan"]
    assert len(found) >= 2
    return found


@pytest.mark.parametrize(
    "plan",
    [
        BY_PROJECT,
        Aggregate(Table.UNITS, (), (Count("units"),), AnyOf((LAST_WEEK, Running()))),
        Aggregate(
            Table.DAILY_USAGE, ("username",), (Sum("units", "num_units"), Sum("energy", ENERGY)), LAST_WEEK, day=True
        ),
        Aggregate(
            Table.UNITS,
            ("project",),
            (Count("units"), Sum("energy", ENERGY), WeightedSum("weighted", USAGE, TIME)),
            RAN_LAST_WEEK,
            prorated=RAN_LAST_WEEK,
        ),
        KeyScan(Table.UNITS, ("avg_cpu_usage", "total_cpu_emissions_gms"), AnyOf((LAST_WEEK, Running()))),
        KeyScan(Table.USAGE, ("avg_cpu_usage",), In("cluster_id", ("nowhere",), negate=True)),
    ],
    ids=["all measures", "one row", "days", "prorated", "keys", "keys of usage"],
)
async def test_shards_sum_up_at_the_same_time(coordinator: Server, database: str, plan: Plan) -> None:
    asked = foreign(await nodes_of(coordinator, database, plan))
    for node in asked:
        assert "Aggregate on" in node["Relations"]
        assert " GROUP BY " in node["Remote SQL"]
        assert node["Async Capable"]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: str(condition)[:50])
async def test_every_condition_is_sent_to_the_shards(coordinator: Server, database: str, condition: Condition) -> None:
    scan = Scan(Table.UNITS, ("uuid",), AllOf((Compare("id", ">", 0), condition)))
    nodes = await nodes_of(coordinator, database, scan)
    assert not any("Filter" in node or "One-Time Filter" in node for node in nodes)
    for node in foreign(nodes):
        assert " WHERE " in node["Remote SQL"]


async def test_shards_send_only_the_rows_that_were_added_last(coordinator: Server, database: str) -> None:
    recent = Distinct(Table.UNITS, ("state",), In("username", ("nobody",), negate=True), recent=50)
    for node in foreign(await nodes_of(coordinator, database, recent)):
        assert " LIMIT 50" in node["Remote SQL"]


async def test_the_steps_of_units_are_read_at_the_same_time(coordinator: Server, database: str) -> None:
    starts = tuple(range(END - 7 * 86_400, END, 86_400))
    spread = Spread(("project",), (Sum("energy", ENERGY),), RanWithin(starts[0], END - 1), starts, END)
    for node in foreign(await nodes_of(coordinator, database, spread)):
        assert node["Async Capable"]
        assert "num_updates" not in node["Remote SQL"]  # no more columns than needed


async def test_shards_count_buckets_at_the_same_time(coordinator: Server, database: str) -> None:
    starts = tuple(range(END - 7 * 86_400, END, 86_400))
    for value in (ENERGY, Wait(END), RunTime()):
        counts = Histogram(("project",), value, (0.0, 1.0, 4.0), RanWithin(starts[0], END - 1), starts, Moment.RAN)
        for node in foreign(await nodes_of(coordinator, database, counts)):
            assert "Aggregate on" in node["Relations"]
            assert "width_bucket" in node["Remote SQL"]
            assert node["Async Capable"]


async def test_what_shards_answer_is_what_the_file_answers(coordinator: Server, database: str, pristine: Path) -> None:
    plans: list[Plan] = [BY_PROJECT, *(Scan(Table.UNITS, ("uuid",), where, (Order("id"),), 20) for where in CONDITIONS)]
    plans += [Distinct(Table.UNITS, ("project", "state"), recent=recent) for recent in (0, 1, 70, 10_000)]
    store = PostgresStore(coordinator.url(database, "ceems_reader"), READER)
    async with file(pristine, ZONE) as live, live.read() as wanted, store.read() as reader:
        for plan in plans:
            check_same(plan, await ask(reader, plan), await ask(wanted, plan))
    await store.close()
