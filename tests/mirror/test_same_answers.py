"""The mirror and the live file give the same answer to the same question at the same moment."""

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ceems_grpc.store.duckdb.reader import MirrorReader
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.model.data import METRICS, Row
from tests.model.databases import Contents, databases, metrics, units
from tests.support.compare import check_same
from tests.support.databases import insert_rows
from tests.support.plans import Plan, ask, plans

few = settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
Change = Callable[[sqlite3.Connection], None]


@asynccontextmanager
async def mirrored(path: Path, folder: Path, contents: Contents) -> AsyncIterator[tuple[SqliteStore, MirroredStore]]:
    live = SqliteStore(path, zone=contents.zone)
    store = MirroredStore(live, MirrorSettings(folders=(folder,), interval=60, retry=0))
    try:
        yield live, store
    finally:
        await store.close()


async def compare(live: SqliteStore, store: MirroredStore, asked: list[Plan]) -> None:
    assert await store.settled()
    for plan in asked:
        async with live.read() as reader:
            wanted = await ask(reader, plan)
        async with store.read() as reader:
            assert isinstance(reader, MirrorReader)
            check_same(plan, await ask(reader, plan), wanted)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Contents, list[tuple[Change, list[Plan]]], list[Plan]]:
    """Return a database, changes to it, and questions to ask after each change."""
    contents = draw(databases())
    asked = st.lists(plans(contents.turn), min_size=6, max_size=6)
    stages = draw(st.lists(st.tuples(changes(contents), asked), min_size=1, max_size=3))
    return contents, stages, draw(asked)


def changes(contents: Contents) -> st.SearchStrategy[Change]:
    """Return a change that a writer may make, including changes that CEEMS never makes."""
    table = st.sampled_from(["units", "usage", "daily_usage"])
    few_ids = st.lists(st.integers(1, 8), min_size=1, max_size=4)
    return st.one_of(
        st.builds(_insert, st.lists(units(contents.zone, contents.turn), min_size=1, max_size=3)),
        st.builds(_update, table, few_ids, metrics()),
        st.builds(_delete, table, few_ids),
        st.builds(_new_key, st.sampled_from(METRICS), few_ids),
        st.just(_new_user),
        st.just(_vacuum),
        st.just(_new_column),
        st.builds(
            _both,
            st.builds(_delete, table, few_ids),
            st.just(_checkpoint),
        ),
    )


def _both(one: Change, two: Change) -> Change:
    def change(connection: sqlite3.Connection) -> None:
        one(connection)
        two(connection)

    return change


def _insert(rows: list[Row]) -> Change:
    def change(connection: sqlite3.Connection) -> None:
        for row in rows:
            try:
                insert_rows(connection, "units", [row])
            except sqlite3.IntegrityError:
                continue  # such a unit exists already

    return change


def _update(table: str, ids: list[int], values: Row) -> Change:
    # last_updated_at stays as it is: only the pages show that something has changed.
    assignments = ", ".join(f"{name} = ?" for name in values)

    def change(connection: sqlite3.Connection) -> None:
        for row in ids:
            connection.execute(f"UPDATE {table} SET {assignments} WHERE id = ?", [*values.values(), row])

    return change


def _delete(table: str, ids: list[int]) -> Change:
    def change(connection: sqlite3.Connection) -> None:
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", [(row,) for row in ids])

    return change


def _new_key(metric: str, ids: list[int]) -> Change:
    def change(connection: sqlite3.Connection) -> None:
        text = '{"new_total":3.25,"Total":1,"total":"7"}'
        connection.executemany(f"UPDATE units SET {metric} = ? WHERE id = ?", [(text, row) for row in ids])

    return change


def _new_user(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO users (cluster_id, name, projects) VALUES ('slurm-1', 'eve', '[\"alpha\"]')"
    )
    connection.execute("UPDATE projects SET users = '[\"eve\", 5, \"ann\", null]' WHERE name = 'alpha'")
    connection.execute("INSERT OR IGNORE INTO admin_users (name) VALUES ('eve')")


def _vacuum(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")
    connection.execute("VACUUM")
    connection.execute("BEGIN")


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(RESTART)")
    connection.execute("BEGIN")


def _new_column(connection: sqlite3.Connection) -> None:
    names = {row[1] for row in connection.execute("PRAGMA table_info(units)")}
    connection.execute(f"ALTER TABLE units ADD COLUMN total_new_stats{len(names)} text DEFAULT '{{}}'")


@pytest.mark.slow
@few
@given(cases(), st.sampled_from(["WAL", "DELETE"]))
def test_answers_stay_the_same_while_the_database_changes(case: Any, mode: str) -> None:
    contents, stages, asked = case

    async def everything(folder: Path) -> None:
        path = contents.write(folder / "ceems.db")
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute(f"PRAGMA journal_mode = {mode}")
            writer.execute("PRAGMA synchronous = OFF")
            async with mirrored(path, folder / "cache", contents) as (live, store):
                await compare(live, store, asked)
                for change, questions in stages:
                    writer.execute("BEGIN")
                    change(writer)
                    writer.execute("COMMIT")
                    await compare(live, store, questions)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(everything(Path(folder)))
