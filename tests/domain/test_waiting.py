"""How long units wait: until they start, or until now."""

from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.domain.answers.suggestions import SuggestionKind, SuggestQuestion
from ceems_grpc.domain.questions.model import OrderBy, UnitsQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, WINTER, make, unit

ROOT, EVER = Viewer("root", admin_by_role=True), Window(WINTER - 86_400, WINTER + 86_400)
START = WINTER - 3_600
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
