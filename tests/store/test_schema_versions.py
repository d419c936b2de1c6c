"""All questions on all versions of the schema: the same answers, or a refusal that says what is missing."""

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ceems_grpc.demo.schema import LATEST_VERSION
from ceems_grpc.domain.answers.suggestions import SuggestionKind, SuggestQuestion
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import (
    Directory,
    DirectoryQuestion,
    Filter,
    Mode,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana.backend.diagnostics import HealthStatus
from ceems_grpc.health import health_result
from ceems_grpc.schema import NEWEST_VERSION, OLDEST_VERSION, newer_schema
from ceems_grpc.store.duckdb.reader import MirrorReader
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.errors import StoreError, StoreSchemaError
from ceems_grpc.store.plan import Table
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.store.schemas import future_site, site
from tests.support.databases import PARIS, WINTER
from tests.support.plugin.ceems import ceems_plugin

WINDOW = Window(WINTER - 3600, WINTER + 86_400)
MEMBER, ROOT = Viewer("a"), Viewer("root")
VERSIONS = range(OLDEST_VERSION, NEWEST_VERSION + 1)
RENAMED = "total_egress_stats"  # by version 9

Ask = Callable[[Ceems, Viewer, bool], Awaitable[Any]]


async def _table(answer: Awaitable[Any]) -> Any:
    table: pa.Table = (await answer).table
    kept = [name for name in table.column_names if not name.startswith(RENAMED) and name != "ignore"]
    return table.select(kept).to_pylist()


QUESTIONS: dict[str, Ask] = {
    "units": lambda c, v, admin: _table(c.units(v, UnitsQuestion(WINDOW, running=True, admin=admin))),
    "a unit": lambda c, v, admin: _table(c.units(v, UnitsQuestion(WINDOW, uuids=("0",), admin=admin))),
    "usage": lambda c, v, admin: _table(c.usage(v, UsageQuestion(WINDOW, admin=admin))),
    "usage ever": lambda c, v, admin: _table(c.usage(v, UsageQuestion(WINDOW, Mode.GLOBAL, admin=admin))),
    "usage by days": lambda c, v, admin: _table(c.usage(v, UsageQuestion(WINDOW, source=Source.DAILY, admin=admin))),
    "usage by hour": lambda c, v, admin: _over_time(c, v, admin, TimeStep.HOUR),
    "usage by day": lambda c, v, admin: _over_time(c, v, admin, TimeStep.DAY),
    "stats": lambda c, v, admin: _table(c.stats(v, StatsQuestion(WINDOW, admin=admin))),
    "stats ever": lambda c, v, admin: _table(c.stats(v, StatsQuestion(WINDOW, Mode.GLOBAL, admin=admin))),
    "users": lambda c, v, admin: _table(c.directory(v, DirectoryQuestion(Directory.USERS, admin=admin))),
    "projects": lambda c, v, admin: _table(c.directory(v, DirectoryQuestion(Directory.PROJECTS, admin=admin))),
    "clusters": lambda c, v, admin: _table(c.directory(v, DirectoryQuestion(Directory.CLUSTERS, admin=admin))),
    "names": lambda c, v, admin: c.suggest(v, SuggestQuestion(SuggestionKind.USERS, admin=admin)),
    "uuids": lambda c, v, admin: c.suggest(v, SuggestQuestion(SuggestionKind.UUIDS, admin=admin)),
}


async def _over_time(ceems: Ceems, viewer: Viewer, admin: bool, step: TimeStep) -> Any:
    answer, _ = await ceems.usage_over_time(viewer, UsageOverTimeQuestion(WINDOW, step, admin=admin))
    return answer.table.to_pylist()


async def answers(store: Store, viewer: Viewer, *, admin: bool) -> dict[str, Any]:
    """Return the answers to all questions; a refusal is represented by its message."""
    ceems = Ceems(store)
    found: dict[str, Any] = {}
    for name, ask in QUESTIONS.items():
        try:
            found[name] = await ask(ceems, viewer, admin)
        except (StoreError, QuestionError) as error:
            found[name] = str(error)
    await ceems.verify(MEMBER, VerifyQuestion(("0",), ("slurm-0",)))  # an error if the unit belongs to somebody else
    await ceems.close()
    return found


async def mirrored(path: Path, folder: Path) -> MirroredStore:
    store = MirroredStore(SqliteStore(path, zone=PARIS), MirrorSettings(folders=(folder,), interval=60.0))
    async with store.read():
        pass
    assert await store.settled()
    async with store.read() as reader:
        assert isinstance(reader, MirrorReader)
    return store


def test_the_versions_are_those_that_the_demo_writes() -> None:
    assert (OLDEST_VERSION, NEWEST_VERSION, LATEST_VERSION) == (4, 9, 9)
    assert newer_schema(0) is None
    assert newer_schema(NEWEST_VERSION) is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("with_mirror", [False, True], ids=["file", "mirror"])
async def test_every_version_answers_what_it_holds(tmp_path: Path, version: int, with_mirror: bool) -> None:
    newest = SqliteStore(site(tmp_path / "newest.db", NEWEST_VERSION), zone=PARIS)
    path = site(tmp_path / "ceems.db", version)
    store: Store = await mirrored(path, tmp_path / "m") if with_mirror else SqliteStore(path, zone=PARIS)
    wanted = await answers(newest, MEMBER, admin=False)
    found = await answers(store, MEMBER, admin=False)
    assert all(not isinstance(answer, str) for answer in wanted.values()), wanted
    if version < 7:
        said = "This CEEMS database has no table daily_usage; it was made by an older version of CEEMS."
        assert found.pop("usage by days") == said
        del wanted["usage by days"]
    assert found == wanted


@pytest.mark.parametrize("version", VERSIONS)
async def test_administrators_of_every_version(tmp_path: Path, version: int) -> None:
    newest = SqliteStore(site(tmp_path / "newest.db", NEWEST_VERSION), zone=PARIS)
    store = SqliteStore(site(tmp_path / "ceems.db", version), zone=PARIS)
    wanted = await answers(newest, ROOT, admin=True)
    found = await answers(store, ROOT, admin=True)
    if version < 5:
        assert set(found.values()) == {"current user does not have admin privileges"}
        return
    if version < 7:
        assert "no table daily_usage" in found.pop("usage by days")
        del wanted["usage by days"]
    assert found == wanted
    assert len(found["units"]) == 2


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_versions_that_are_too_old_say_so(tmp_path: Path, version: int) -> None:
    store = SqliteStore(site(tmp_path / "ceems.db", version), zone=PARIS)
    missing = {1: "usage", 2: "users", 3: "projects"}[version]
    with pytest.raises(StoreSchemaError) as caught:
        await store.facts()
    assert str(caught.value) == (
        f"The database is of schema version {version}, which has no table {missing}; "
        "the oldest that can be read is 4: update CEEMS."
    )
    await store.close()


@pytest.mark.parametrize("with_mirror", [False, True], ids=["file", "mirror"])
async def test_a_version_to_come_answers_as_before_and_its_new_columns(tmp_path: Path, with_mirror: bool) -> None:
    newest = site(tmp_path / "newest.db", NEWEST_VERSION)
    future = future_site(tmp_path / "ceems.db")
    for viewer, admin in ((MEMBER, False), (ROOT, True)):
        store = await mirrored(future, tmp_path / f"m{admin}") if with_mirror else SqliteStore(future, zone=PARIS)
        found = await answers(store, viewer, admin=admin)
        new = {name: _take(answer, ("avg_npu_usage.global", "planet")) for name, answer in found.items()}
        assert found == await answers(SqliteStore(newest, zone=PARIS), viewer, admin=admin)
        for name in ("units", "a unit"):
            assert new.pop(name) == [{"avg_npu_usage.global": 1.0, "planet": "x"}] * len(found[name])
        assert new.pop("usage") == [{"avg_npu_usage.global": 1.0}] * len(found["usage"])
        assert all(not any(rows) for rows in new.values())


def _take(answer: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Remove values from the rows of an answer, and return the removed values of each row."""
    rows = answer if isinstance(answer, list) else []
    return [{name: row.pop(name) for name in names if name in row} for row in rows]


async def test_a_version_to_come_is_warned_of_in_health_and_once_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(future_site(tmp_path / "ceems.db"), zone=PARIS)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            facts = await store.facts()
        with closing(sqlite3.connect(store.path)) as writer:
            writer.execute("CREATE TABLE more (id integer)")  # the schema is read again
        facts = await store.facts()
    health = health_result(facts, full_path=False, now=datetime.fromtimestamp(WINTER + 60, UTC))
    assert health.status is HealthStatus.OK
    assert "schema version 12 is newer than the newest that this plugin knows (9)" in health.message
    assert [warning for warning in health.details["warnings"] if "newer" in warning]
    assert len(caplog.records) == 1
    assert "schema version 12" in caplog.text
    await store.close()
    known = SqliteStore(site(tmp_path / "known.db", NEWEST_VERSION), zone=PARIS)
    health = health_result(await known.facts(), full_path=False, now=datetime.fromtimestamp(WINTER + 60, UTC))
    assert "newer" not in health.message
    await known.close()


@pytest.mark.parametrize("with_mirror", [False, True], ids=["file", "mirror"])
@pytest.mark.parametrize("version", [8, 9])
async def test_columns_that_are_gone_are_named(tmp_path: Path, version: int, with_mirror: bool) -> None:
    path = site(tmp_path / "ceems.db", version)
    with closing(sqlite3.connect(path)) as writer:
        for column in ("name", "avg_gpu_usage"):
            writer.execute(f"ALTER TABLE units DROP COLUMN {column}")
    store: Store = await mirrored(path, tmp_path / "m") if with_mirror else SqliteStore(path, zone=PARIS)
    ceems = Ceems(store)

    async def refused(key: str, operator: str, value: str) -> str:
        selection = Selection(filters=(Filter(key, operator, (value,)),))
        with pytest.raises(StoreError) as caught:
            await ceems.units(MEMBER, UnitsQuestion(WINDOW, selection, fields=("uuid",)))
        return str(caught.value)

    assert ": no column name. It was made by another version of CEEMS" in await refused("name", "=", "x")
    assert ": no column avg_gpu_usage." in await refused("avg_gpu_usage.global", ">", "1")
    if version < 9:
        assert f": no column {RENAMED}." in await refused(f"{RENAMED}.bytes", ">", "1")
    # Columns that are only displayed are left out, and metrics that are gone have no values.
    units = await ceems.units(MEMBER, UnitsQuestion(WINDOW, fields=("uuid", "name", "avg_cpu_usage")))
    assert units.table.to_pylist() == [{"uuid": "0", "avg_cpu_usage.global": 40.0}]
    usage = await ceems.usage(MEMBER, UsageQuestion(WINDOW))
    assert not [name for name in usage.table.column_names if name.startswith("avg_gpu_usage")]
    assert usage.table.column("total_cpu_energy_usage_kwh.total").to_pylist() == [2.5, 2.5]
    await ceems.close()


async def test_tables_that_are_gone_are_named(tmp_path: Path) -> None:
    path = future_site(tmp_path / "ceems.db")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("DROP TABLE projects")
    store = SqliteStore(path, zone=PARIS)
    with pytest.raises(StoreSchemaError, match="of schema version 12, which has no table projects"):
        await store.facts()
    await store.close()


async def test_panels_tell_it_to_everybody(tmp_path: Path) -> None:
    path = site(tmp_path / "ceems.db", OLDEST_VERSION)
    window = (WINDOW.start * 1000, WINDOW.end * 1000)
    async with ceems_plugin(path, timezone="Europe/Paris") as ceems:
        model = {"queryType": "usage", "source": "daily"}
        for role in ("Viewer", "Admin"):
            response = (await ceems.query("a", {"A": model}, window, role=role))["A"]
            assert response.status == 500
            assert f"no table {Table.DAILY_USAGE}" in response.error
        answer = await ceems.resource("a", "usage/current", f"experimental&from={WINDOW.start}&to={WINDOW.end}")
        assert answer.status == 500
        assert "no table daily_usage" in json.loads(answer.body)["error"]
