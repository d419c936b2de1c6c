"""Objects, lists and booleans in tags: PostgreSQL answers as the file does."""

import asyncio
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.domain.questions.model import DistributionQuestion, UsageOverTimeQuestion, UsageQuestion
from tests.support.compare import check_same
from tests.support.distributions import check_distributions, distribution_questions
from tests.support.mirrors import ZONE
from tests.support.nested_tags import nested_plans, nested_tags, write_tags
from tests.support.plans import Plan, ask
from tests.support.postgres.servers import Server
from tests.support.postgres.stores import fed, file, opened
from tests.support.value_groups import check_value_groups, value_group_questions


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    found=st.lists(nested_tags, min_size=1, max_size=30),
    plans=st.lists(nested_plans(), min_size=40, max_size=40),
)
def test_postgres_answers_as_the_file(
    server: Server, empty_database: str, pristine: Path, found: list[dict[str, Any]], plans: list[Plan]
) -> None:
    async def compare(folder: Path) -> None:
        path = folder / "ceems.db"
        shutil.copy(pristine, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            write_tags(writer, found)
        fed(server, empty_database, path, ZONE)
        async with opened(server, empty_database) as store, file(path, ZONE) as live:
            for plan in plans:
                async with live.read() as reader, store.read() as other:
                    check_same(plan, await ask(other, plan), await ask(reader, plan))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder)))


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    found=st.lists(nested_tags, min_size=1, max_size=30),
    asked=st.lists(value_group_questions(), min_size=10, max_size=10),
    distributions=st.lists(distribution_questions(), min_size=10, max_size=10),
)
def test_postgres_groups_as_the_file(
    server: Server,
    empty_database: str,
    pristine: Path,
    *,
    found: list[dict[str, Any]],
    asked: list[UsageQuestion | UsageOverTimeQuestion],
    distributions: list[DistributionQuestion],
) -> None:
    async def compare(folder: Path) -> None:
        path = folder / "ceems.db"
        shutil.copy(pristine, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            write_tags(writer, found)
        fed(server, empty_database, path, ZONE)
        async with opened(server, empty_database) as store, file(path, ZONE) as live:
            await check_value_groups(store, live, asked)
            await check_distributions(store, live, distributions)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder)))
