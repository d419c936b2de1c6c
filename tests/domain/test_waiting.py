"""How long units wait: until they start, or until now."""

from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.domain.answers.suggestions import SuggestionKind, SuggestQuestion
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import Mode, OrderBy, Source, UnitsQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, WINTER, make, unit

ROOT, EVER = Viewer("root", admin_by_role=True), Window(WINTER - 86_400, WINTER + 86_400)
START = WINTER - 3_600
WAITS = ("avg_wait_seconds", "max_wait_seconds")
WAITING: dict[str, Any] = {"started_at": "Unknown", "started_at_ts": 0, "ended_at": "Unknown", "ended_at_ts": 0}
UNITS = [
    unit(0, created_at_ts=(START - 90) * 1000 - 500),
    unit(1),
    unit(2, **WAITING, created_at_ts=(WINTER - 60) * 1000),
    unit(3, started_at="Unknown", started_at_ts=0),  # cancelled while it waited
    unit(4, created_at="Unknown", created_at_ts=0),
    unit(5, created_at_ts=(START + 5) * 1000),
    unit(6, ended_at="Unknown", ended_at_ts=0, created_at_ts=(START - 7) * 1000),  # runs
    unit(7, **WAITING, created_at_ts=(WINTER + 60) * 1000),  # created by a clock that is ahead
]


async def ask(tmp_path: Path, **more: Any) -> list[dict[str, Any]]:
    ceems = Ceems(SqliteStore(make(tmp_path / "ceems.db", UNITS), zone=PARIS), clock=lambda: WINTER)
    try:
        answer = await ceems.units(ROOT, UnitsQuestion(EVER, running=True, admin=True, **more))
        found: list[dict[str, Any]] = answer.table.to_pylist()
    finally:
        await ceems.close()
    return found


async def test_the_wait_of_units(tmp_path: Path) -> None:
    rows = await ask(tmp_path, fields=("uuid", "wait_seconds"))
    assert {row["uuid"]: row["wait_seconds"] for row in rows} == {
        "0": 90.5, "1": 0.0, "2": 60.0, "3": None, "4": None, "5": None, "6": 7.0, "7": None,
    }  # fmt: skip


@pytest.mark.parametrize(("descending", "first"), [(True, ["0", "2", "6"]), (False, ["1", "6", "2"])])
async def test_units_sort_by_their_wait(tmp_path: Path, descending: bool, first: list[str]) -> None:
    order = (OrderBy("wait_seconds", descending=descending),)
    rows = await ask(tmp_path, fields=("uuid",), order=order, limit=3)
    assert [row["uuid"] for row in rows] == first


async def test_the_wait_is_shown_on_request_and_suggested(tmp_path: Path) -> None:
    assert "wait_seconds" not in (await ask(tmp_path))[0]
    ceems = Ceems(SqliteStore(tmp_path / "ceems.db", zone=PARIS))
    try:
        found = await ceems.suggest(ROOT, SuggestQuestion(SuggestionKind.FIELDS, "wait", 10, column="units"))
    finally:
        await ceems.close()
    assert [(each.value, each.unit) for each in found.values] == [("wait_seconds", "s")]


async def usage_of(tmp_path: Path, units: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {"fields": WAITS, "exact_groups": True, "admin": True, "window": EVER, **more}
    ceems = Ceems(SqliteStore(make(tmp_path / "ceems.db", units), zone=PARIS), clock=lambda: WINTER)
    try:
        found: list[dict[str, Any]] = (await ceems.usage(ROOT, UsageQuestion(**asked))).table.to_pylist()
    finally:
        await ceems.close()
    return found


async def test_usage_has_the_mean_and_the_longest_wait(tmp_path: Path) -> None:
    # 90.5 s, 0 s, 7 s, and 60 s of a unit that still waits; the other units have no wait.
    assert await usage_of(tmp_path, UNITS) == [{"avg_wait_seconds": 157.5 / 4, "max_wait_seconds": 90.5}]


async def test_waits_of_groups(tmp_path: Path) -> None:
    names = {"0": "ann", "1": "bob", "2": None, "3": "cat", "6": "ann"}
    units = [{**row, "username": names[row["uuid"]]} for row in UNITS if row["uuid"] in names]
    order = (OrderBy("username"),)
    by_user = await usage_of(tmp_path, units, group_by=("username",), fields=("username", *WAITS), order=order)
    assert [tuple(row.values()) for row in by_user] == [
        ("ann", 48.75, 90.5),
        ("bob", 0.0, 0.0),
        ("cat", None, None),
        (None, 60.0, 60.0),
    ]


async def test_waits_of_tags_sort_groups_without_being_shown(tmp_path: Path) -> None:
    tags = {"0": "a", "1": "b", "2": "c", "6": "a"}
    units = [{**row, "tags": f'{{"partition":"{tags[row["uuid"]]}"}}'} for row in UNITS if row["uuid"] in tags]
    order = (OrderBy("avg_wait_seconds", descending=True),)
    fields = ("tags.partition", "num_units")
    rows = await usage_of(tmp_path, units, group_by=("tags.partition",), fields=fields, order=order)
    assert [tuple(row.values()) for row in rows] == [("c", 1), ("a", 2), ("b", 1)]


async def test_prorated_usage_has_the_waits_of_units_that_started_in_the_range(tmp_path: Path) -> None:
    first, last = START + 100, START + 200
    starts = {"0": first - 1, "1": first, "2": last, "3": last + 1}
    units = [
        unit(int(uuid), started_at_ts=start * 1000 + 999, created_at_ts=(start - 10 * int(uuid)) * 1000 + 999)
        for uuid, start in starts.items()
    ]
    asked: dict[str, Any] = {"source": Source.PRORATED, "fields": ("num_units", *WAITS)}
    found = await usage_of(tmp_path, units, window=Window(first, last), **asked)
    assert [tuple(row.values()) for row in found] == [(3, 15.0, 20.0)]


async def test_a_row_from_before_the_start_does_not_count_as_waiting(tmp_path: Path) -> None:
    before = unit(0, **WAITING, created_at_ts=(START - 8) * 1000)
    started = unit(0, created_at_ts=(START - 8) * 1000)
    assert await usage_of(tmp_path, [before, started]) == [{"avg_wait_seconds": 8.0, "max_wait_seconds": 8.0}]


async def test_no_units_have_no_waits(tmp_path: Path) -> None:
    assert await usage_of(tmp_path, UNITS, window=Window(0, 900)) == []


@pytest.mark.parametrize("other", [{"mode": Mode.GLOBAL}, {"source": Source.DAILY}])
async def test_waits_of_other_tables_are_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    with pytest.raises(QuestionError, match='known only for units: use the mode "current" with the source "units"'):
        await usage_of(tmp_path, UNITS, **other)


async def test_waits_of_usage_are_shown_on_request_and_suggested(tmp_path: Path) -> None:
    assert set(WAITS).isdisjoint((await usage_of(tmp_path, UNITS, fields=()))[0])
    ceems = Ceems(SqliteStore(tmp_path / "ceems.db", zone=PARIS))
    try:
        found = await ceems.suggest(ROOT, SuggestQuestion(SuggestionKind.FIELDS, "max_wait", 10, column="usage"))
        over_time = await ceems.suggest(
            ROOT, SuggestQuestion(SuggestionKind.FIELDS, "max_wait", 10, column="usage-over-time")
        )
    finally:
        await ceems.close()
    assert [(each.value, each.unit) for each in found.values] == [("max_wait_seconds", "s")]
    assert over_time.values == []


@pytest.mark.parametrize("more", [{}, {"source": Source.PRORATED}, {"group_by": ("tags.partition", "username")}])
async def test_the_mirror_has_the_same_waits(tmp_path: Path, more: dict[str, Any]) -> None:
    path = make(tmp_path / "ceems.db", UNITS)
    live = SqliteStore(path, zone=PARIS)
    mirror = MirroredStore(live, MirrorSettings(folders=(tmp_path / "mirror",), interval=60, retry=0))
    try:
        assert await mirror.settled()
        question = UsageQuestion(EVER, exact_groups=True, fields=WAITS, admin=True, **more)
        ceems = [Ceems(store, clock=lambda: WINTER) for store in (live, mirror)]
        answers = [(await each.usage(ROOT, question)).table.to_pylist() for each in ceems]
        assert answers[0] == answers[1]
        assert answers[0][0]["max_wait_seconds"] == 90.5
    finally:
        await mirror.close()
