"""Answers about usage are cached for a quarter of an hour, never for other users, never after the data changed."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from ceems_grpc.domain.access import Rights
from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.cache import LIFETIME, MOST_BYTES, UsageCache
from ceems_grpc.domain.columns import USAGE_COLUMNS
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import Directory, DirectoryQuestion, Selection, UsageQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.store.sqlite.reader import SqliteReader
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import NOON, SiteDatabase
from tests.support.people import write_people_site
from tests.support.plugin.ceems import Answered
from tests.support.plugin.process import Plugin, running
from tests.support.plugin.source import Source, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOW = (("from", NOON - 3600), ("to", NOON + 3600))
USAGE = "usage/current"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "ceems.db"
    write_people_site(path)
    return path


def change(database: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount > 0


def move(path: Path, to: Path) -> None:
    path.rename(to)


def replace(database: Path, by: Path) -> None:
    for extra in ("-wal", "-shm"):
        Path(f"{database}{extra}").unlink(missing_ok=True)
    by.rename(database)


def kept(answer: Answered) -> bool:
    assert answer.status == 200, answer.body
    return "Expires" in answer.headers


async def test_the_second_answer_is_the_kept_one_and_says_until_when(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for login, path in (("ann", USAGE), ("root", "usage/current/admin")):
        first = await ceems.get(login, path, *WINDOW)
        asked = time.time()
        second, third = await ceems.get(login, path, *WINDOW), await ceems.get(login, path, *WINDOW)
        assert not kept(first)
        assert first.body == second.body == third.body
        assert second.headers["Expires"] == third.headers["Expires"]
        assert second.headers["Expires"].endswith(" GMT")
        expires = parsedate_to_datetime(second.headers["Expires"]).timestamp()
        assert 0 < expires - asked <= LIFETIME


async def test_questions_within_the_same_quarters_are_equal(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    start = NOON // 900 * 900
    assert not kept(await ceems.get("ann", USAGE, ("from", start), ("to", start + 1800)))
    for window in (
        (start + 899, start + 901), (start * 1000, (start + 1800) * 1000), (start + 1, start + 1799),
    ):  # fmt: skip
        assert kept(await ceems.get("ann", USAGE, ("from", window[0]), ("to", window[1]))), window
    assert kept(await ceems.get("ann", "api/v1/usage/current", ("to", start + 1800), ("from", start)))
    others: tuple[tuple[tuple[str, Any], ...], ...] = (
        (("from", start - 1), ("to", start + 1800)), (("from", start), ("to", start + 1801)),
        (("from", start), ("to", start + 1800), ("project", "alpha")),
        (("from", start), ("to", start + 1800), ("cluster_id", "slurm-0")),
        (("from", start), ("to", start + 1800), ("groupby", "cluster_id")),
        (("from", start), ("to", start + 1800), ("field", "num_units")),
        (("from", start), ("to", start + 1800), ("experimental", "")),
    )  # fmt: skip
    for query in others:
        assert not kept(await ceems.get("ann", USAGE, *query)), query


async def test_users_never_share_an_answer(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database, adminRole="Admin")
    seen: dict[str, bytes] = {}
    for login in ("ann", "bob", "cat", "eve", "root"):  # ann and bob may see the same rows, and still share no answers
        answer = await ceems.get(login, USAGE, *WINDOW)
        assert not kept(answer), login
        seen[login] = answer.body
    for login, body in seen.items():
        answer = await ceems.get(login, USAGE, *WINDOW)
        assert kept(answer)
        assert answer.body == body
    assert not kept(await ceems.get("root", "usage/current/admin", *WINDOW))
    assert (await ceems.get("ann", "usage/current/admin", *WINDOW)).status == 403
    # A user who is an administrator by role is another viewer than the same user without the role.
    assert not kept(await ceems.get("ann", "usage/current/admin", *WINDOW, role="Admin"))
    assert kept(await ceems.get("ann", "usage/current/admin", *WINDOW, role="Admin"))
    assert (await ceems.get("ann", "usage/current/admin", *WINDOW, role="Viewer")).status == 403


async def test_data_sources_never_share_an_answer(plugin: Plugin, tmp_path: Path) -> None:
    answers: list[Answered] = []
    for name in ("one", "two"):
        path = tmp_path / name / "ceems.db"
        path.parent.mkdir()
        with SiteDatabase(path) as site:
            site.project("alpha", ["ann"])
            site.unit("1", "ann", "alpha", NOON, total_cpu_energy_usage_kwh={name: 1})
        ceems = source(plugin, path)
        answers += [await ceems.get("ann", USAGE, *WINDOW), await ceems.get("ann", USAGE, *WINDOW)]
    assert [kept(answer) for answer in answers] == [False, True, False, True]
    assert b'"one":1' in answers[1].body
    assert b'"two":1' in answers[3].body


async def test_a_changed_database_is_seen_at_once(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    await ceems.get("ann", USAGE, *WINDOW)
    assert kept(await ceems.get("ann", USAGE, *WINDOW))
    for number in range(3):
        change(database, "UPDATE units SET uuid = ?, project = 'alpha' WHERE username = 'cat'", f"moved-{number}")
        answer = await ceems.get("ann", USAGE, *WINDOW)
        assert not kept(answer)
        assert {row["username"] for row in answer.json["data"]} == {"ann", "bob", "alpha:svc", "cat"}
        assert kept(await ceems.get("ann", USAGE, *WINDOW))


async def test_a_replaced_database_is_seen_at_once(plugin: Plugin, database: Path, tmp_path: Path) -> None:
    ceems = source(plugin, database)
    await ceems.get("ann", USAGE, *WINDOW)
    assert kept(await ceems.get("ann", USAGE, *WINDOW))
    with SiteDatabase(tmp_path / "restored.db") as site:
        site.project("alpha", ["ann"])
        site.unit("1", "ann", "alpha", NOON)
        site.connection.execute("PRAGMA journal_mode = DELETE")
    replace(database, tmp_path / "restored.db")
    answer = await ceems.get("ann", USAGE, *WINDOW)
    assert not kept(answer)
    assert len(answer.json["data"]) == 1


async def test_errors_are_not_kept(plugin: Plugin, database: Path, tmp_path: Path) -> None:
    ceems = source(plugin, database)
    move(database, tmp_path / "away.db")
    for _ in range(2):
        assert (await ceems.get("ann", USAGE, *WINDOW)).status == 500
    move(tmp_path / "away.db", database)
    assert not kept(await ceems.get("ann", USAGE, *WINDOW))


async def test_an_answer_that_was_cut_is_kept_with_its_warning(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database, rowLimit=1)
    first, second = await ceems.get("ann", USAGE, *WINDOW), await ceems.get("ann", USAGE, *WINDOW)
    assert kept(second)
    assert first.json == second.json
    assert len(second.json["data"]) == len(second.json["warnings"]) == 1


# Rights


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forgetful() -> AsyncIterator[Plugin]:
    async with running((sys.executable, "-m", "tests.api.short_memory", "serve")) as plugin:
        yield plugin


async def becomes(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds, at most for as long as the plugin (here briefly) remembers rights."""
    async with asyncio.timeout(15):
        while not await condition():  # noqa: ASYNC110 nobody tells us when
            await asyncio.sleep(0.05)


async def test_a_removed_member_loses_access(forgetful: Plugin, database: Path) -> None:
    ceems = source(forgetful, database)
    verify = (("uuid", "unit-bob"), ("cluster_id", "slurm-0"))
    for _ in range(2):
        assert len(await ceems.rows("ann", USAGE, *WINDOW)) == 3
    assert (await ceems.get("ann", "units/verify", *verify)).status == 200
    assert len(await ceems.rows("ann", "units", *WINDOW, ("project", "alpha"))) == 2
    change(
        database, """UPDATE projects SET users = '["bob", "alpha:svc"]' WHERE uid = 'p-alpha' AND users LIKE '%ann%'"""
    )

    async def out() -> bool:
        answers = [
            await ceems.rows("ann", USAGE, *WINDOW),
            await ceems.rows("ann", USAGE, *WINDOW, ("experimental", ""), ("from", 0)),
            await ceems.rows("ann", "usage/global"),
            await ceems.rows("ann", "projects"),
            await ceems.rows("ann", "clusters"),
            await ceems.rows("ann", "suggest/metric-keys", ("column", "total_io_read_stats")),
        ]
        verified = await ceems.get("ann", "units/verify", *verify)
        service = await ceems.rows("ann", "units", *WINDOW, ("project", "alpha"))
        return not any(answers) and verified.status == 403 and len(service) == 1

    await becomes(out)
    assert len(await ceems.rows("bob", USAGE, *WINDOW)) == 3


async def test_a_removed_admin_loses_access(forgetful: Plugin, database: Path) -> None:
    ceems = source(forgetful, database)
    paths = ("usage/current/admin", "usage/global/admin", "units/admin", "users/admin", "stats/global/admin")
    for path in (*paths, *paths):
        assert (await ceems.get("root", path, *WINDOW)).status == 200
    change(database, "DELETE FROM admin_users")

    async def out() -> bool:
        statuses = {(await ceems.get("root", path, *WINDOW)).status for path in paths}
        found = await ceems.rows("root", "suggest/uuids")
        return statuses == {403} and not found

    await becomes(out)


async def test_a_new_member_and_a_new_admin_get_access(forgetful: Plugin, database: Path) -> None:
    ceems = source(forgetful, database)
    assert await ceems.rows("eve", USAGE, *WINDOW) == []
    assert (await ceems.get("eve", "units/admin", *WINDOW)).status == 403
    change(database, """UPDATE projects SET users = '["cat", "eve"]' WHERE name = 'beta'""")
    change(database, "UPDATE admin_users SET name = 'eve'")

    async def inside() -> bool:
        rows = await ceems.rows("eve", USAGE, *WINDOW)
        return len(rows) == 1 and (await ceems.get("eve", "units/admin", *WINDOW)).status == 200

    await becomes(inside)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture(loop_scope="module")
async def ceems_and_clock(database: Path) -> AsyncIterator[tuple[Ceems, Clock]]:
    clock = Clock()
    ceems = Ceems(SqliteStore(database), clock=clock)
    ceems._rights = Rights(timer=clock)
    yield ceems, clock
    await ceems.close()


def question(admin: bool = False, **rest: Any) -> UsageQuestion:
    return UsageQuestion(Window(NOON - 3600, NOON + 3600), admin=admin, **rest)


async def test_rights_are_lost_within_30_seconds_whoever_asks_how_often(
    ceems_and_clock: tuple[Ceems, Clock], database: Path
) -> None:
    ceems, clock = ceems_and_clock
    ann, root = Viewer("ann"), Viewer("root")
    users = DirectoryQuestion(Directory.USERS, admin=True)
    for _ in range(3):
        clock.now += 1
        assert (await ceems.usage(ann, question())).table.num_rows == 3
        assert (await ceems.usage(root, question(admin=True))).table.num_rows == 5
        await ceems.directory(root, users)
    change(database, "UPDATE projects SET users = '[]'")
    change(database, "DELETE FROM admin_users")
    for _ in range(29):  # repeated questions must not extend the time for which rights are remembered
        clock.now += 1
        await ceems.usage(ann, question())
        with suppress(QuestionError):
            await ceems.usage(root, question(admin=True))
    assert (await ceems.usage(ann, question())).table.num_rows == 0
    for asked in (ceems.usage(root, question(admin=True)), ceems.directory(root, users)):
        with pytest.raises(QuestionError, match="admin privileges"):
            await asked
    assert Rights.LIFETIME < 30


# What is cached, and for how long


async def test_answers_are_kept_for_a_quarter_of_an_hour(ceems_and_clock: tuple[Ceems, Clock]) -> None:
    ceems, clock = ceems_and_clock
    first = await ceems.usage(Viewer("ann"), question())
    assert first.expires is None
    start = clock.now
    clock.now = start + LIFETIME - 1
    assert (await ceems.usage(Viewer("ann"), question())).expires == start + LIFETIME
    clock.now = start + LIFETIME + 1
    assert (await ceems.usage(Viewer("ann"), question())).expires is None


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Record every aggregation that a database receives."""
    asked: list[object] = []
    aggregate = SqliteReader.aggregate

    async def noted(self: SqliteReader, plan: Any) -> pa.Table:
        asked.append(plan)
        return await aggregate(self, plan)

    monkeypatch.setattr(SqliteReader, "aggregate", noted)
    return asked


async def test_equal_questions_at_the_same_time_run_once(
    ceems_and_clock: tuple[Ceems, Clock], counted: list[object]
) -> None:
    ceems, _ = ceems_and_clock
    answers = await asyncio.gather(*(ceems.usage(Viewer("ann"), question()) for _ in range(20)))
    assert len(counted) == 1
    assert all(answer.table.equals(answers[0].table) for answer in answers)
    await asyncio.gather(*(ceems.usage(Viewer(login), question()) for login in ("ann", "bob", "bob", "cat")))
    assert len(counted) == 3


async def test_an_asker_who_leaves_does_not_take_the_answer_from_others(
    ceems_and_clock: tuple[Ceems, Clock], counted: list[object]
) -> None:
    ceems, _ = ceems_and_clock
    asking = [asyncio.create_task(ceems.usage(Viewer("ann"), question())) for _ in range(5)]
    while not counted:  # noqa: ASYNC110 - until the work runs
        await asyncio.sleep(0)
    asking[0].cancel()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [answer.table.num_rows for answer in answers[1:]] == [3] * 4  # type: ignore[union-attr]
    assert len(counted) == 1


async def test_what_is_kept_is_bounded_by_bytes(ceems_and_clock: tuple[Ceems, Clock], counted: list[object]) -> None:
    ceems, clock = ceems_and_clock
    most = 400_000
    ceems._usage = UsageCache(most, timer=clock)
    ann = Viewer("ann")
    for number in range(100):
        answer = await ceems.usage(ann, question(selection=Selection(projects=("alpha", f"p{number}"))))
        assert answer.table.num_rows == 3
        assert ceems._usage._kept.currsize <= most
    assert 1 < len(ceems._usage._kept) < 100
    counted.clear()
    assert (await ceems.usage(ann, question(selection=Selection(projects=("alpha", "p99"))))).expires is not None
    assert (await ceems.usage(ann, question(selection=Selection(projects=("alpha", "p0"))))).expires is None
    assert len(counted) == 1
    assert MOST_BYTES <= 256 * 1024 * 1024


async def test_long_questions_leave_short_keys(ceems_and_clock: tuple[Ceems, Clock]) -> None:
    ceems, _ = ceems_and_clock
    long = tuple(f"{number:0900}" for number in range(500))
    await ceems.usage(Viewer("ann"), question(selection=Selection(projects=("alpha", *long))))
    (key,) = ceems._usage._kept
    assert len(repr(key)) < 1_000
    assert (await ceems.usage(Viewer("ann"), question(selection=Selection(projects=("alpha", *long))))).expires
    other = question(selection=Selection(projects=("alpha", *long[1:])))
    assert (await ceems.usage(Viewer("ann"), other)).expires is None
    assert (await ceems.usage(Viewer("bob"), other)).expires is None


async def test_an_answer_larger_than_the_bound_is_answered_and_not_kept(ceems_and_clock: tuple[Ceems, Clock]) -> None:
    ceems, clock = ceems_and_clock
    ceems._usage = UsageCache(100, timer=clock)
    for _ in range(2):
        answer = await ceems.usage(Viewer("ann"), question())
        assert (answer.table.num_rows, answer.expires) == (3, None)


def bytes_reported() -> float:
    return REGISTRY.get_sample_value("ceems_usage_cache_bytes") or 0.0


async def test_the_metric_of_bytes_is_what_is_kept_after_answers_expired(ceems_and_clock: tuple[Ceems, Clock]) -> None:
    ceems, clock = ceems_and_clock
    before = bytes_reported()
    for number in range(3):
        await ceems.usage(Viewer("ann"), question(selection=Selection(projects=("alpha", f"p{number}"))))
        assert bytes_reported() - before == ceems._usage._kept.currsize > 0
        clock.now += LIFETIME + 1
    await ceems.close()
    assert bytes_reported() == before


async def lookups(plugin: Plugin, result: str) -> float:
    answer = await plugin.call("Diagnostics.CollectMetrics", pb.CollectMetricsRequest())
    name = f'ceems_usage_cache_lookups_total{{result="{result}"}} '
    lines = answer.metrics.prometheus.decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


async def test_panels_share_what_is_kept_and_the_api_keeps_its_own(plugin: Plugin, database: Path) -> None:
    """Panels leave out rows that a later row of the same unit replaces; the API counts them, as CEEMS itself does."""
    ceems: Source = source(plugin, database)
    window = ((NOON - 3600) * 1000, (NOON + 3600) * 1000)
    hits, misses = await lookups(plugin, "hit"), await lookups(plugin, "miss")
    fields = [column.name for column in USAGE_COLUMNS]  # those of the API; a panel adds derived ones by default
    for _ in range(3):
        await ceems.get("ann", USAGE, *WINDOW)
        await ceems.table("ann", {"queryType": "usage", "fields": fields}, window)
    assert await lookups(plugin, "miss") == misses + 2
    assert await lookups(plugin, "hit") == hits + 4


async def test_the_bound_counts_what_columns_take_beside_their_values() -> None:
    cache = UsageCache(1024 * 1024)
    table = pa.table({f"total_cpu_usage_hours.{number}": [float(number)] for number in range(100)})
    asked = 0

    async def work() -> Answer:
        nonlocal asked
        asked += 1
        return Answer(table, {})

    for key in [*range(100), *range(100)]:
        await cache.get(key, work)
    assert table.nbytes * 100 < 1024 * 1024, "by the size of their values alone, all would be kept"
    assert asked == 200, "a hundred answers of a hundred columns take several megabytes"
