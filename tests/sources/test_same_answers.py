"""Several sources answer every plan as one database with all their rows does."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ceems_grpc.store.merged.store import MergedStore
from ceems_grpc.store.plan import AllKeys, Distinct, KeyScan, Order, Scan
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.model.databases import Contents, databases
from tests.sources.splitting import all_clusters, split
from tests.support.compare import check_same
from tests.support.plans import TEXTS, Plan, ask, plans

few = settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def merged_files(paths: list[Path], zone: Any) -> MergedStore:
    """Return a store over files."""
    sources = [(f"site-{number}", partial(SqliteStore, path, zone=zone)) for number, path in enumerate(paths)]
    return MergedStore(sources, timeout=60.0)


@asynccontextmanager
async def whole_and_merged(
    contents: Contents, places: dict[str, int], count: int
) -> AsyncIterator[tuple[Store, MergedStore]]:
    """Write a database as one file and split, and open both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = SqliteStore(contents.write(folder / "whole.db"), zone=contents.zone)
        parts = [part.write(folder / f"{n}.db") for n, part in enumerate(split(contents, places, count))]
        merged = merged_files(parts, contents.zone)
        try:
            yield whole, merged
        finally:
            await merged.close()
            await whole.close()


@st.composite
def splits(draw: st.DrawFn) -> tuple[Contents, dict[str, int], int]:
    """Return a database, and the number of databases over which its clusters are spread."""
    count = draw(st.integers(1, 4))
    places = {cluster: draw(st.integers(0, count - 1)) for cluster in all_clusters()}
    return draw(databases()), places, count


def comparable(plan: Plan) -> Plan:
    """Return the plan without what depends on the ids of rows, which each database numbers on its own."""
    match plan:
        case Scan():
            unique = [
                name for name in ("cluster_id", "uuid", "username", "project", "name") if name in TEXTS[plan.table]
            ]
            more = ("last_updated_at",) if "last_updated_at" in TEXTS[plan.table] else ()
            started = ("started_at_ts",) if plan.table == "units" else ()
            order = tuple(item for item in plan.order if item.operand != "id")
            plan = replace(plan, order=(*order, *(Order(name) for name in (*unique, *more, *started))))
        case KeyScan() | Distinct():
            plan = replace(plan, recent=None)
    return plan


async def compare(whole: Store, merged: MergedStore, asked: list[Plan]) -> None:
    async with whole.read() as one, merged.read() as all_:
        for plan in map(comparable, asked):
            wanted = await ask(one, plan)
            got = await ask(all_, plan)
            check_same(plan, got, wanted)
            if isinstance(plan, Scan):
                await compare_batches(one, all_, plan, wanted)
        assert all_.missing == ()


async def compare_batches(one: Any, all_: Any, plan: Scan, wanted: pa.Table) -> None:
    """Compare the rows that arrive in batches."""
    plain = tuple(column for column in plan.columns if not isinstance(column, AllKeys))
    if plain:
        streamed = replace(plan, columns=plain)
        tables = [pa.Table.from_batches([batch async for batch in reader.batches(streamed)]) for reader in (all_, one)]
        check_same(plan, *tables)
        assert tables[0].num_rows == wanted.num_rows


@few
@given(splits().flatmap(lambda case: st.tuples(st.just(case), st.lists(plans(case[0].turn), min_size=8, max_size=8))))
def test_every_plan_has_the_same_answer(case: Any) -> None:
    (contents, places, count), asked = case

    async def everything() -> None:
        async with whole_and_merged(contents, places, count) as (whole, merged):
            await compare(whole, merged, asked)

    asyncio.run(everything())
