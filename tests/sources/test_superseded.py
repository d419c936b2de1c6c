"""A unit that waited and then started has two rows. Panels show and count the later one, with every store."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.domain.answers.suggestions import SuggestionKind, SuggestQuestion
from ceems_grpc.domain.compared import compared
from ceems_grpc.domain.questions.model import (
    Comparison,
    Mode,
    OrderBy,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.period import Period
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.merged.store import MergedStore
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.store import PostgresStore
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.store import RemoteStore
from ceems_grpc.store.runtime.query_trace import trace_query
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.bridge_servers import Files, serving
from tests.support.databases import DAY, PARIS, WINTER, local, make, stamp, unit
from tests.support.postgres.servers import PASSWORD, Server
from tests.support.postgres.stores import fed, statements

ROOT, ANN = Viewer("root", admin_by_role=True), Viewer("ann")
NOW = Window(WINTER - DAY, WINTER + DAY)
LATER = Window(WINTER + 40 * DAY, WINTER + 41 * DAY)
YEARS = 3_000 * DAY
Opened = Callable[[Path], AbstractAsyncContextManager[Store]]


def waiting(uuid: str, created: int, **columns: Any) -> dict[str, Any]:
    """Return the row of a unit that was seen before it started."""
    never = {"started_at": "N/A", "started_at_ts": 0, "ended_at": "N/A", "ended_at_ts": 0, "state": "Pending"}
    made = {"created_at": stamp(created), "created_at_ts": created * 1000, "last_updated_at": local(created)}
    return unit(0, **{**never, **made, "uuid": uuid, "total_time_seconds": "{}", **columns})


def ran(uuid: str, created: int, **columns: Any) -> dict[str, Any]:
    made = {"created_at": stamp(created), "created_at_ts": created * 1000, "state": "Succeeded"}
    return unit(0, **{**made, "uuid": uuid, **columns})


K8S = {"cluster_id": "k8s-0", "resource_manager": "k8s"}
ROWS = [
    waiting("ran", WINTER - 4_000),
    ran("ran", WINTER - 4_000),
    waiting("runs", WINTER - 4_000, started_at_ts=-62_135_596_800_000, **K8S),  # Go's zero time
    ran("runs", WINTER - 4_000, ended_at="Unknown", ended_at_ts=0, state="Running", **K8S),
    waiting("waits", WINTER - 4_000),
    # The same id on another cluster, or of a job years ago, belongs to another unit.
    ran("elsewhere", WINTER - 4_000),
    waiting("elsewhere", WINTER - 4_000, **K8S),
    ran("again", WINTER - YEARS, ended=WINTER - YEARS + 4_000),
    waiting("again", WINTER - 4_000),
]
SHOWN = [("elsewhere", "Pending"), ("runs", "Running"), ("again", "Pending"), ("waits", "Pending")]


@asynccontextmanager
async def _closing(store: Store) -> AsyncIterator[Store]:
    try:
        yield store
    finally:
        await store.close()


def _file(path: Path) -> AbstractAsyncContextManager[Store]:
    return _closing(SqliteStore(path, zone=PARIS))


@asynccontextmanager
async def _mirror(path: Path) -> AsyncIterator[Store]:
    cache = MirrorSettings(folders=(path.parent / "cache",), interval=60, retry=0)
    async with _closing(MirroredStore(SqliteStore(path, zone=PARIS), cache)) as store:
        assert isinstance(store, MirroredStore)
        assert await store.settled()
        yield store


def _merged(path: Path) -> AbstractAsyncContextManager[Store]:
    other = make(path.parent / "other.db", [unit(0, cluster_id="os-0", username="bob")])
    sources = [(file.stem, partial(SqliteStore, file, zone=PARIS)) for file in (path, other)]
    return _closing(MergedStore(sources, timeout=60.0))


@asynccontextmanager
async def _bridge(path: Path) -> AsyncIterator[Store]:
    keys = Files(path.parent)
    async with serving("--database", str(path), *keys.tls, *keys.tokens, "--timezone", "Europe/Paris") as server:
        place = Endpoint(f"localhost:{server.port}", token=keys.token, ca_cert=keys.authority.certificate)
        async with _closing(RemoteStore(place)) as store:
            yield store


@asynccontextmanager
async def _postgres(path: Path, *, server: Server) -> AsyncIterator[Store]:
    database = server.new_database()
    fed(server, database, path, PARIS)
    async with _closing(PostgresStore(server.url(database), PASSWORD, "ceems")) as store:
        yield store


REUSED = [
    ran("reused", WINTER - YEARS, ended=WINTER - YEARS + 4_000, username="bob", name="old", cluster_id="os-1"),
    ran("reused", WINTER - 4_000, ended=WINTER - 9_000, name="new", cluster_id="os-1"),
    ran("reused", WINTER - 4_000, name="new", cluster_id="os-1"),
]


@pytest.fixture(params=["file", "mirror", "merged", "bridge", "postgres"])
async def ceems(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ceems]:
    path = make(tmp_path / "ceems.db", [*ROWS, *REUSED], journal="wal")
    ways: dict[str, Opened] = {"file": _file, "mirror": _mirror, "merged": _merged, "bridge": _bridge}
    way = ways.get(request.param) or partial(_postgres, server=request.getfixturevalue("server"))
    async with way(path) as store:
        yield Ceems(store)


def _rows(table: Any) -> list[tuple[Any, ...]]:
    return list(zip(*table.to_pydict().values(), strict=True))


@pytest.mark.parametrize("viewer", [ROOT, ANN])
async def test_running_units_are_those_that_no_later_row_replaces(ceems: Ceems, viewer: Viewer) -> None:
    question = UnitsQuestion(
        LATER, running=True, fields=("uuid", "state"), order=(OrderBy("cluster_id"), OrderBy("uuid")), admin="auto"
    )
    assert _rows((await ceems.units(viewer, question)).table) == SHOWN
    waits = UnitsQuestion(LATER, states=("Pending",), running=True, fields=("uuid",), limit=2, admin="auto")
    answer = await ceems.units(viewer, waits)
    assert _rows(answer.table) == [("elsewhere",), ("again",)]
    assert any("first 2 units" in warning for warning in answer.warnings)


@pytest.mark.parametrize(("uuid", "states"), [("ran", ["Succeeded"]), ("waits", ["Pending"])])
async def test_one_unit_is_the_row_that_started(ceems: Ceems, uuid: str, states: list[str]) -> None:
    question = UnitsQuestion(NOW, uuids=(uuid,), running=True, fields=("state",), admin="auto")
    assert (await ceems.units(ANN, question)).table.column("state").to_pylist() == states


@pytest.mark.parametrize("mode", [Mode.CURRENT, Mode.GLOBAL])
async def test_counts(ceems: Ceems, mode: Mode) -> None:
    counts = ("cluster_id", "num_units", "num_inactive_units", "num_active_units")
    chosen = Selection(clusters=("slurm-0", "k8s-0"))
    question = StatsQuestion(NOW, mode, chosen, fields=counts, admin=True)
    old = int(mode is Mode.GLOBAL)  # the job of years ago
    assert _rows((await ceems.stats(ROOT, question)).table) == [
        ("k8s-0", 2, 0, 2),
        ("slurm-0", 4 + old, 2 + old, 2),
    ]


@pytest.mark.parametrize("source", [Source.UNITS, Source.PRORATED])
@pytest.mark.parametrize("exact", [True, False])
async def test_usage(ceems: Ceems, source: Source, *, exact: bool) -> None:
    chosen = Selection(clusters=("slurm-0", "k8s-0"))
    question = UsageQuestion(
        NOW,
        source=source,
        selection=chosen,
        group_by=("cluster_id",),
        exact_groups=exact,
        fields=("cluster_id", "num_units", "total_time_seconds.walltime"),
        admin="auto",
    )
    assert _rows((await ceems.usage(ROOT, question)).table) == [("k8s-0", 2, 3600.0), ("slurm-0", 4, 7200.0)]
    hours = UsageOverTimeQuestion(NOW, source=Source.UNITS, selection=chosen, fields=("num_units",), admin=True)
    table, _ = await ceems.usage_over_time(ROOT, hours)
    assert sum(count or 0 for count in table.table.column("num_units").to_pylist()) == 6


@pytest.mark.parametrize(
    ("source", "mean", "longest"), [(Source.UNITS, 2_200.0, 4_000.0), (Source.PRORATED, 400.0, 400.0)]
)
async def test_waits_of_usage(ceems: Ceems, source: Source, mean: float, longest: float) -> None:
    # Units that started waited 400 s; those that still wait have waited 4,000 s, and count where no start is asked for.
    question = UsageQuestion(
        NOW,
        source=source,
        selection=Selection(clusters=("slurm-0", "k8s-0")),
        group_by=("cluster_id",),
        exact_groups=True,
        fields=("cluster_id", "avg_wait_seconds", "max_wait_seconds"),
        admin=True,
    )
    answer = await Ceems(ceems.store, clock=lambda: WINTER).usage(ROOT, question)
    assert _rows(answer.table) == [("k8s-0", mean, longest), ("slurm-0", mean, longest)]


async def test_usage_compared_with_the_days_before(ceems: Ceems) -> None:
    days = Window(WINTER + DAY, WINTER + 3 * DAY - 1)
    asked: dict[str, Any] = {"group_by": ("cluster_id",), "exact_groups": True, "fields": ("num_units",), "admin": True}
    selection = Selection(clusters=("slurm-0", "k8s-0"))
    usage = UsageQuestion(days, source=Source.PRORATED, selection=selection, **asked)
    answer = await compared(ceems, ROOT, Comparison(usage, Period.PREVIOUS))
    assert _rows(answer.table) == [(None, 2, None), (None, 4, None)]
    usage = replace(usage, window=Window(WINTER - DAY, WINTER + DAY - 1), fields=("cluster_id", "num_units"))
    answer = await compared(ceems, ROOT, Comparison(usage, Period.PREVIOUS))
    assert _rows(answer.table) == [("k8s-0", 2, None, None), ("slurm-0", 4, None, None)]


async def test_suggestions_tell_units_of_one_uuid_apart(ceems: Ceems) -> None:
    asked = SuggestQuestion(SuggestionKind.UUIDS, prefix="reused", admin=True)
    found = [(one.value, one.description) for one in (await ceems.suggest(ROOT, asked)).values]
    assert sorted(found) == [
        ("reused", "new (ann), started 2025-12-01"),
        ("reused", "old (bob), started 2017-09-14"),
    ]


async def test_postgres_still_answers_from_its_sums(server: Server, tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", ROWS)
    async with _postgres(path, server=server) as store:
        with trace_query() as trace:
            question = UsageQuestion(NOW, exact_groups=True, group_by=("cluster_id",), admin=True)
            answer = await Ceems(store).usage(ROOT, question)
        assert answer.table.column("num_units").to_pylist() == [2, 4]
        async with store.read() as reader:
            assert reader.has(Table.UNITS, "started_at_ts")
    assert "units_daily" in statements(trace)
