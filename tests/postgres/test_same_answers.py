"""PostgreSQL and the live file give the same answer to the same question about the same rows."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ceems_grpc.store.plan import Aggregate, Count, Instant, Order, Table, Within
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.runtime.query_trace import QueryTrace, trace_query
from tests.model.databases import Contents, databases
from tests.postgres.summed_plans import summed
from tests.support.compare import check_same
from tests.support.plans import Plan, ask, plans
from tests.support.postgres.servers import Server
from tests.support.postgres.stores import fed, file, opened, statements

few = settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ],
)


@st.composite
def cases(draw: st.DrawFn, kinds: Callable[[int], st.SearchStrategy[Plan]]) -> tuple[Contents, list[Plan]]:
    """Return a database and questions."""
    contents = draw(databases())
    return contents, draw(st.lists(kinds(contents.turn), min_size=12, max_size=12))


async def check_plans(store: Store, live: Store, asked: list[Plan]) -> None:
    """Fail if an answer of a store differs from that of the file."""
    for plan in asked:
        async with live.read() as reader:
            wanted = await ask(reader, plan)
        async with store.read() as reader:
            check_same(plan, await ask(reader, plan), wanted)


def compare(server: Server, database: str, contents: Contents, asked: list[Plan]) -> QueryTrace:
    """Replace what was fed by the contents, and fail if an answer differs from the file's."""

    async def everything(folder: Path) -> None:
        path = contents.write(folder / "ceems.db")
        fed(server, database, path, contents.zone)
        async with opened(server, database) as store, file(path, contents.zone) as live:
            await check_plans(store, live, asked)

    with tempfile.TemporaryDirectory() as folder, trace_query() as trace:
        asyncio.run(everything(Path(folder)))
    return trace


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    return server.new_database()


@few
@given(cases(plans))
def test_all_plans(server: Server, database: str, case: Any) -> None:
    compare(server, database, *case)


@few
@given(cases(summed))
def test_sums_of_hours_and_days_are_used_and_exact(server: Server, database: str, case: Any) -> None:
    contents, asked = case
    day = contents.turn // 86_400 * 86_400
    two_days = Within(
        Instant.UPDATED, day - 86_400 - 5_400, day + 86_400 + 5_400
    )  # and shifted by one and a half hours
    whole = Aggregate(Table.UNITS, ("project",), (Count("units"),), two_days, (Order("project"),))
    texts = statements(compare(server, database, contents, [*asked, whole]))
    assert "units_daily" in texts
    assert "units_hourly" in texts
