"""Sources of different versions of CEEMS: what one source lacks is null in its rows, or is reported as missing."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceems_grpc.domain.questions.model import Source, UsageOverTimeQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.plan import Aggregate, Count, KeyScan, Scan, Table
from ceems_grpc.store.protocols import Store
from tests.model.data import Row
from tests.model.databases import Contents, databases
from tests.sources.splitting import BY_CLUSTER, all_clusters, split, write_version
from tests.sources.test_new_columns import remote
from tests.sources.test_same_answers import comparable, few, merged_files
from tests.sources.two_sites import write_site
from tests.support.compare import check_same
from tests.support.databases import DAY, NOON, PARIS
from tests.support.plans import Plan, ask, plans
from tests.support.postgres.servers import Server
from tests.support.postgres.stores import fed, opened

OLD = 7  # the last version with total_outgress_stats and lists of administrators


def as_old(contents: Contents) -> Contents:
    """Return contents as an older schema can store them: without values for which it has no column."""

    def row(new: Row) -> Row:
        return {name: value for name, value in new.items() if name != "total_egress_stats"}

    tables = {table: [row(one) for one in rows] for table, rows in contents.tables.items()}
    return Contents(contents.zone, contents.turn, tables)


def together(parts: list[Contents]) -> Contents:
    """Return the contents with the rows of all databases."""
    tables = {table: [row for part in parts for row in part.tables.get(table, [])] for table in BY_CLUSTER}
    return Contents(parts[0].zone, parts[0].turn, {**tables, "admin_users": parts[0].tables["admin_users"]})


@st.composite
def cases(draw: st.DrawFn) -> tuple[Contents, dict[str, int], list[Plan]]:
    contents = draw(databases())
    places = {cluster: draw(st.integers(0, 1)) for cluster in all_clusters()}
    asked = draw(st.lists(plans(contents.turn), min_size=8, max_size=8))
    return contents, places, [plan for plan in asked if getattr(plan, "table", None) is not Table.ADMIN_USERS]


@settings(few, max_examples=15)
@given(cases())
def test_a_column_that_a_source_lacks_is_null_there(case: Any) -> None:
    contents, places, asked = case
    new, old = split(contents, places, 2)
    old = as_old(old)

    async def everything(folder: Path) -> None:
        whole = merged_files([together([new, old]).write(folder / "whole.db")], contents.zone)
        parts = [new.write(folder / "new.db"), write_version(old, folder / "old.db", OLD)]
        merged = merged_files(parts, contents.zone)
        try:
            async with whole.read() as one, merged.read() as all_:
                for plan in map(comparable, asked):
                    check_same(
                        plan, _without_empty(plan, await ask(all_, plan)), _without_empty(plan, await ask(one, plan))
                    )
                assert all_.missing == ()
        finally:
            await merged.close()
            await whole.close()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(everything(Path(name)))


def _without_empty(plan: Plan, answer: Any) -> Any:
    """Remove empty values: a missing column is null, while a column that was never written holds '{}'."""
    if isinstance(plan, Scan) and "total_egress_stats" in plan.columns:
        return answer.drop_columns(["total_egress_stats"])
    return answer


async def test_a_source_without_a_table_is_named_or_not_needed(tmp_path: Path) -> None:
    new = write_site(tmp_path / "new.db", "slurm-n", admin="root", kwh=1)
    old = _old_site(tmp_path / "old.db")
    store = merged_files([new, old], None)
    ceems = Ceems(store)
    async with store.read() as reader:
        assert not reader.has(Table.DAILY_USAGE)  # otherwise, days would silently lack a site
        assert reader.has(Table.ADMIN_USERS)
        await reader.aggregate(Aggregate(Table.DAILY_USAGE, ("cluster_id",), (Count("n"),)))
        (missing,) = reader.missing
        assert "has no table daily_usage" in missing.sentence
        assert missing.clusters == ("os-old",)
    daily = UsageQuestion(Window(NOON // DAY * DAY, NOON), source=Source.DAILY, admin=True, group_by=("cluster_id",))
    answer = await ceems.usage(Viewer("root"), daily)
    assert answer.table.column("cluster_id").unique().to_pylist() == ["slurm-n"]
    answer = await ceems.usage(Viewer("ann"), daily := replace(daily, admin=False))
    assert "os-old" in answer.notices[0]
    assert (await ceems.usage(Viewer("ann"), replace(daily, source=Source.UNITS))).notices == ()
    await ceems.close()


async def test_administrators_in_the_old_form_count_too(tmp_path: Path) -> None:
    new = write_site(tmp_path / "new.db", "slurm-n", admin="root", kwh=1)
    store = merged_files([new, _old_site(tmp_path / "old.db")], None)
    ceems = Ceems(store)
    question = UsageQuestion(Window(NOON - DAY, NOON + DAY), admin=True, group_by=("cluster_id",))
    for login, cluster in (("root", "slurm-n"), ("old-root", "os-old")):
        answer = await ceems.usage(Viewer(login), question)
        assert answer.table.column("cluster_id").unique().to_pylist() == [cluster]
    async with store.read() as reader:
        assert (await reader.keys(KeyScan(Table.UNITS, ("total_egress_stats",)))) == {"total_egress_stats": ()}
    await ceems.close()


async def check_days_are_refused(store: Store) -> None:
    """Check that usage by days names the table that is not there, and that days over time come from units."""
    ceems, window = Ceems(store), Window(NOON - DAY, NOON + DAY)
    for source, groups in ((Source.DAILY, ()), (Source.DAILY, ("cluster_id",))):
        with pytest.raises(StoreError, match="no table daily_usage"):
            await ceems.usage(Viewer("ann"), UsageQuestion(window, source=source, group_by=groups))
    over_time = UsageOverTimeQuestion(window, TimeStep.DAY, source=Source.DAILY, fields=("num_units",))
    answer, _ = await ceems.usage_over_time(Viewer("ann"), over_time)
    assert any("no table daily_usage" in warning for warning in answer.warnings)
    assert sum(answer.table.column("num_units").to_pylist()) > 0


async def test_days_of_a_host_without_them(tmp_path: Path) -> None:
    async with remote(tmp_path, _old_site(tmp_path / "old.db")) as store:
        await check_days_are_refused(store)


async def test_days_in_postgresql_without_them(tmp_path: Path, server: Server, empty_database: str) -> None:
    fed(server, empty_database, _old_site(tmp_path / "old.db"), PARIS)
    async with opened(server, empty_database) as store:
        await check_days_are_refused(store)


def _old_site(path: Path) -> Path:
    """Write a site with schema version 6, which has no daily_usage and stores administrators as a list."""
    new = write_site(path.with_suffix(".new"), "os-old", admin="old-root", kwh=2)
    tables = {}
    with closing(sqlite3.connect(new)) as connection:
        connection.row_factory = sqlite3.Row
        for table in (*BY_CLUSTER, "admin_users"):
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            tables[table] = [{name: row[name] for name in row.keys()} for row in rows]  # noqa: SIM118
    del tables["daily_usage"]
    contents = Contents(zone=None, turn=NOON, tables=tables)  # type: ignore[arg-type]
    return write_version(contents, path, 6)


@pytest.mark.parametrize("version", [4, 5, 7, 8])
async def test_every_old_schema_is_merged(tmp_path: Path, version: int) -> None:
    contents = Contents(zone=None, turn=NOON, tables={})  # type: ignore[arg-type]
    empty = write_version(contents, tmp_path / "empty.db", version)
    store = merged_files([write_site(tmp_path / "new.db", "slurm-n", admin="root", kwh=1), empty], None)
    async with store.read() as reader:
        assert reader.has(Table.DAILY_USAGE)  # a source without rows need not have it
        assert (await reader.aggregate(Aggregate(Table.UNITS, (), (Count("n"),)))).to_pylist() == [{"n": 2}]
        assert reader.missing == ()
    await store.close()
