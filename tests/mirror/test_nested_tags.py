"""Objects, lists and booleans in tags: the mirror answers as the file does, and the file as Python reads the texts."""

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
from ceems_grpc.store.columnar.json_paths import value_at
from ceems_grpc.store.plan import In, Key, Order, Scan, Table
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.compare import check_same
from tests.support.distributions import check_distributions, distribution_questions
from tests.support.mirrors import ZONE, following
from tests.support.nested_tags import NAMES, nested_plans, nested_tags, write_tags
from tests.support.plans import Plan, ask
from tests.support.value_groups import check_value_groups, value_group_questions

few = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
_TAGS = st.lists(nested_tags, min_size=1, max_size=30)


@few
@given(found=_TAGS, plans=st.lists(nested_plans(), min_size=25, max_size=25))
def test_the_mirror_answers_as_the_file(pristine: Path, found: list[dict[str, Any]], plans: list[Plan]) -> None:
    async def compare(folder: Path) -> None:
        path = folder / "ceems.db"
        shutil.copy(pristine, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            write_tags(writer, found)
        live = SqliteStore(path, zone=ZONE)
        try:
            async with following(path, folder / "cache") as store:
                assert await store.settled()
                for plan in plans:
                    async with live.read() as reader, store.read() as mirrored:
                        check_same(plan, await ask(mirrored, plan), await ask(reader, plan))
        finally:
            await live.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder)))


@few
@given(
    found=_TAGS,
    asked=st.lists(value_group_questions(), min_size=8, max_size=8),
    distributions=st.lists(distribution_questions(), min_size=8, max_size=8),
)
def test_the_mirror_groups_as_the_file(
    pristine: Path,
    found: list[dict[str, Any]],
    asked: list[UsageQuestion | UsageOverTimeQuestion],
    distributions: list[DistributionQuestion],
) -> None:
    async def compare(folder: Path) -> None:
        path = folder / "ceems.db"
        shutil.copy(pristine, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            write_tags(writer, found)
        live = SqliteStore(path, zone=ZONE)
        try:
            async with following(path, folder / "cache") as store:
                assert await store.settled()
                await check_value_groups(store, live, asked)
                await check_distributions(store, live, distributions)
        finally:
            await live.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder)))


def _is_one_of(value: object, wanted: str) -> bool:
    if isinstance(value, list):
        return any(_is_one_of(member, wanted) for member in value if not isinstance(member, list | dict))
    if isinstance(value, bool):
        return wanted in {"true", "1"} if value else wanted in {"false", "0"}
    return value == wanted if isinstance(value, str) else value is not None and str(value) == wanted


@few
@given(found=_TAGS)
def test_the_file_finds_what_the_texts_say(pristine: Path, found: list[dict[str, Any]]) -> None:
    async def compare(folder: Path) -> None:
        path = folder / "ceems.db"
        shutil.copy(pristine, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            write_tags(writer, found)
        live = SqliteStore(path, zone=ZONE)
        try:
            for name in NAMES:
                for wanted in ("x", "true", "false", "1", "2.5"):
                    right = [row for row, tags in enumerate(found, 1) if _is_one_of(value_at(tags, name), wanted)]
                    plan = Scan(Table.UNITS, ("id",), In(Key("tags", name), (wanted,)), (Order("id"),))
                    async with live.read() as reader:
                        assert (await reader.table(plan)).column("id").to_pylist() == right, (name, wanted)
        finally:
            await live.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder)))
