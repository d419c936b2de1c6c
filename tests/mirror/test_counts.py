"""Units that are counted in memory: the counts equal those of the engine and of the file at the same moment."""

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.store.duckdb import counts as mirror_counts
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.duckdb.target import OpenMirror
from ceems_grpc.store.plan import (
    Aggregate,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Count,
    CountIf,
    In,
    Instant,
    Order,
    Running,
    Table,
    Within,
)
from ceems_grpc.store.runtime.query_trace import trace_query
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.mirror.test_same_answers import Change, changes, few, mirrored
from tests.model.databases import Contents, databases
from tests.support.compare import check_same
from tests.support.mirrors import NOW, ZONE, following
from tests.support.plans import countings

_END = int(NOW.timestamp())
_MEASURES = (Count("all"), CountIf("ended", Compare("ended_at_ts", ">", 0)), CountIf("running", Running()))
_LATE = CountIf("late", Compare("ended_at_ts", ">", 1))


def counting(*others: Condition, start: int = _END - 864_000, end: int = _END, **more: Any) -> Aggregate:
    """Return a question that counts units that ended in a window or still run."""
    where = AllOf((*others, AnyOf((Within(Instant.ENDED, start, end), Running()))))
    return Aggregate(Table.UNITS, ("cluster_id", "username"), _MEASURES, where, **more)


async def counted(store: MirroredStore, live: SqliteStore, plan: Aggregate) -> str:
    """Fail if the mirror and the file differ; return what did the counting."""
    with trace_query() as trace:
        async with store.read() as reader:
            answer: pa.Table = await reader.aggregate(plan)
    async with live.read() as reader:
        check_same(plan, answer, await reader.aggregate(plan))
    (statement,) = trace.statements
    return statement.engine


async def ready(store: MirroredStore) -> None:
    """Wait until the mirror is up to date, and units are counted."""
    assert await store.settled()
    assert await store.settled()


@pytest.fixture
async def live(site: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(site, zone=ZONE)
    yield store
    await store.close()


@st.composite
def cases(draw: st.DrawFn) -> tuple[Contents, list[Aggregate], list[tuple[Change, list[Aggregate]]]]:
    """Return a database, questions, and changes with questions after each."""
    contents = draw(databases())
    asked = st.lists(countings(contents.turn), min_size=4, max_size=4)
    return contents, draw(asked), draw(st.lists(st.tuples(changes(contents), asked), min_size=1, max_size=3))


@few
@given(cases())
def test_any_database_that_changes(case: Any) -> None:
    contents, asked, stages = case

    async def everything(folder: Path) -> None:
        path = contents.write(folder / "ceems.db")
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("PRAGMA synchronous = OFF")
            async with mirrored(path, folder / "cache", contents) as (live, store):
                for change, questions in [(_nothing, asked), *stages]:
                    writer.execute("BEGIN")
                    change(writer)
                    writer.execute("COMMIT")
                    await ready(store)
                    assert {await counted(store, live, plan) for plan in questions} == {"arrow"}

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(everything(Path(folder)))


def _nothing(_: sqlite3.Connection) -> None:
    pass


async def test_counts_of_another_moment_are_not_used(
    site: Path, live: SqliteStore, writer: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following(site, tmp_path / "cache") as store:
        await ready(store)
        assert await counted(store, live, counting()) == "arrow"
        monkeypatch.setattr("ceems_grpc.store.duckdb.files.Mirror.count", lambda _: None)
        for change in (
            "UPDATE units SET ended_at_ts = 0 WHERE id % 7 = 0",
            "UPDATE units SET username = 'newcomer' WHERE id % 5 = 0",
            "DELETE FROM units WHERE id % 3 = 0",
        ):
            writer.execute(change)
            assert await store.settled()
            assert await counted(store, live, counting()) == "duckdb"
        monkeypatch.undo()
        await ready(store)
        assert await counted(store, live, counting()) == "arrow"


@pytest.mark.parametrize(
    ("plan", "engine"),
    [
        (counting(In("username", ("nobody",))), "arrow"),
        (counting(In("project", (), negate=True)), "arrow"),
        (counting(start=0, end=2**40), "arrow"),
        (counting(start=_END, end=_END - 1), "arrow"),
        (counting(start=-5, end=-1), "arrow"),
        (counting(In("state", ("COMPLETED",))), "duckdb"),
        (counting(In("ignore", ("0",))), "duckdb"),
        (counting(order=(Order("all", descending=True),)), "duckdb"),
        (Aggregate(Table.UNITS, ("username",), _MEASURES), "duckdb"),
        (Aggregate(Table.UNITS, ("username",), (_LATE,), counting().where), "duckdb"),
    ],
)
async def test_who_counts(plan: Aggregate, engine: str, site: Path, live: SqliteStore, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        await ready(store)
        assert await counted(store, live, plan) == engine


@pytest.mark.parametrize("end", ["NULL", "-5", "1", "999", "1.5", f"{2**32}999", f"{2**32 - 1}999"])
async def test_odd_ends(end: str, site: Path, live: SqliteStore, writer: sqlite3.Connection, tmp_path: Path) -> None:
    writer.execute(f"UPDATE units SET ended_at_ts = {end} WHERE id % 4 = 0")
    engine = "duckdb" if end == f"{2**32}999" else "arrow"
    async with following(site, tmp_path / "cache") as store:
        await ready(store)
        for plan in (counting(), counting(start=0, end=0), counting(start=0, end=2**40), counting(start=1, end=2**32)):
            assert await counted(store, live, plan) == engine


async def test_too_many_units(site: Path, live: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_counts, "MOST_UNITS", 1_499)
    async with following(site, tmp_path / "cache") as store:
        await ready(store)
        assert await counted(store, live, counting()) == "duckdb"


async def test_a_database_without_units(
    site: Path, live: SqliteStore, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    writer.execute("DELETE FROM units")
    async with following(site, tmp_path / "cache") as store:
        await ready(store)
        assert await counted(store, live, counting()) == "arrow"


async def test_a_snapshot_is_of_the_moment_that_it_names(site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        mirror = store._follower.mirror
        assert mirror is not None

        def change() -> None:
            with closing(OpenMirror(mirror)) as target:
                for number in range(300):
                    target.begin()
                    target.commit(msgspec.structs.replace(mirror.meta, id=f"moment {number}"))

        changing = asyncio.create_task(asyncio.to_thread(change))
        named = set()
        while not changing.done():
            snapshot = await asyncio.to_thread(mirror.snapshot)
            assert snapshot is not None
            with closing(snapshot):
                found = await asyncio.to_thread(snapshot.connection.execute, "SELECT id FROM state")
                assert found.fetchall() == [(snapshot.meta.id,)]
            named.add(snapshot.meta.id)
        await changing
        assert len(named) > 10
