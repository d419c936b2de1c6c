"""Usage from the mirror, which knows the keys without a search, has exactly the keys that the file has."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.domain.questions.model import Selection, StatsQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.schema import GROUPS
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.plan import Distinct, Table
from ceems_grpc.store.protocols import KnowsKeys
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.compare import check_same
from tests.support.mirrors import ZONE, following

_VIEWER = Viewer("boss", admin_by_role=True)
_EVER = Window(0, 2_000_000_000)
_METRIC = "total_cpu_emissions_gms"


async def check(store: MirroredStore, live: SqliteStore, question: UsageQuestion) -> frozenset[str]:
    """Fail if the mirror and the file differ; return the names of the answer's columns."""

    assert await store.settled()
    answer = (await Ceems(store).usage(_VIEWER, question)).table
    told: Any = question  # only in the message when they differ
    check_same(told, answer, (await Ceems(live).usage(_VIEWER, question)).table)
    return frozenset(answer.column_names)


@pytest.fixture
def live(site: Path) -> SqliteStore:
    return SqliteStore(site, zone=ZONE)


async def test_keys_that_no_row_of_the_answer_has_are_left_out(site: Path, live: SqliteStore, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        async with store.read() as reader:
            assert isinstance(reader, KnowsKeys)
            assert reader.known_keys(Table.UNITS, (_METRIC,))
            clusters = (await reader.distinct(Distinct(Table.UNITS, ("cluster_id",)))).column(0).to_pylist()
            projects = (await reader.distinct(Distinct(Table.UNITS, ("project",)))).column(0).to_pylist()
        everything = UsageQuestion(_EVER, admin=True)
        shown = {await check(store, live, everything)}
        for cluster in clusters:
            shown.add(
                await check(store, live, UsageQuestion(_EVER, selection=Selection(clusters=(cluster,)), admin=True))
            )
        for project in projects[:5]:
            shown.add(
                await check(store, live, UsageQuestion(_EVER, selection=Selection(projects=(project,)), admin=True))
            )
        assert len(shown) > 1, "all clusters have the same keys"
        await check(store, live, UsageQuestion(Window(1, 2), admin=True))
        await check(store, live, UsageQuestion(Window(1, 2), admin=True, exact_groups=True, group_by=()))
    await live.close()


@pytest.mark.parametrize("text", ['{"none":null}', '{"none":null,"total":1}', '{"odd":"NaN"}', '{"odd":1}', "[1]", "x"])
async def test_keys_without_numbers(
    text: str, site: Path, live: SqliteStore, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        writer.execute(f"UPDATE units SET {_METRIC} = ? WHERE id % 2 = 0", (text,))
        await check(store, live, UsageQuestion(_EVER, admin=True))
        await check(store, live, UsageQuestion(_EVER, fields=(_METRIC,), admin=True))
    await live.close()


@pytest.mark.parametrize("group_by", [(), ("cluster_id",), ("resource_manager", "groupname")])
async def test_groups_that_are_new_and_texts_that_are_none(
    group_by: tuple[str, ...], site: Path, live: SqliteStore, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    changes = [
        f"UPDATE units SET {name} = {value} WHERE id % 5 = 0" for name in GROUPS for value in ("''", "NULL", "'new'")
    ]
    async with following(site, tmp_path / "cache") as store:
        for change in ("SELECT 1", *changes, "DELETE FROM units WHERE id % 5 = 1"):
            writer.execute(change)
            await check(store, live, UsageQuestion(_EVER, group_by=group_by, admin=True))
            assert await store.settled()
            for exact in (group_by, GROUPS):
                await check(store, live, UsageQuestion(_EVER, group_by=exact, exact_groups=True, admin=True))
            stats = StatsQuestion(_EVER, admin=True)
            assert (await Ceems(store).stats(_VIEWER, stats)).table == (await Ceems(live).stats(_VIEWER, stats)).table
    await live.close()
