"""Units that are running, in a time range of the past: those that ran then, and not those that are running now."""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.people import write_people_site
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = 86_400
NOW = int(time.time())
RUNS = {  # start and end in days before now
    "always": (100, 0),
    "then": (45, 35),
    "into": (35, 20),  # ended after the time range
    "new": (5, 0),  # started after it
    "old": (70, 65),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CeemsPlugin]:
    path = tmp_path_factory.mktemp("past") / "ceems.db"
    _write(path)
    async with ceems_plugin(path, timezone="UTC") as running:
        yield running


def _write(path: Path) -> None:
    write_people_site(path)
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        row = dict(database.execute("SELECT * FROM units LIMIT 1").fetchone())
        database.execute("DELETE FROM units")
        updated = time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(NOW))
        for number, (uuid, (start, end)) in enumerate(RUNS.items(), 1):
            moments = {
                "started_at_ts": (NOW - start * DAY) * 1000,
                "ended_at_ts": (NOW - end * DAY) * 1000 if end else 0,
            }
            written = {**row, "id": number, "uuid": uuid, "ignore": 0, "last_updated_at": updated, **moments}
            names, marks = ", ".join(written), ", ".join("?" * len(written))
            database.execute(f"INSERT INTO units ({names}) VALUES ({marks})", tuple(written.values()))
        database.commit()


async def _uuids(ceems: CeemsPlugin, start: float, end: float, **query: Any) -> set[str]:
    model = {"queryType": "units", "admin": True, "fields": ["uuid"], **query}
    window = (int((NOW - start * DAY) * 1000), int((NOW - end * DAY) * 1000))
    return set((await ceems.table("root", model, window)).column("uuid").to_pylist())


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"version": 3, "running": True}, {"always", "then", "into"}),
        ({"version": 3, "running": True, "runningAt": "now"}, {"always", "then", "new"}),
        ({"version": 2, "running": True}, {"always", "then", "new"}),
        ({"running": True}, {"always", "then", "new"}),
        ({"running": True, "runningAt": "range"}, {"always", "then", "into"}),
        ({"version": 3}, {"then"}),
    ],
)
async def test_a_past_range_has_what_ran_then(ceems: CeemsPlugin, query: dict[str, Any], wanted: set[str]) -> None:
    assert await _uuids(ceems, 60, 30, **query) == wanted


async def test_a_range_until_now_has_what_is_running(ceems: CeemsPlugin) -> None:
    assert await _uuids(ceems, 1, 0, version=3, running=True) == {"always", "new"}
    assert await _uuids(ceems, 1, 0.005, version=3, running=True) == {"always", "new"}  # seven minutes ago


async def test_named_units_are_shown_whenever_they_ran(ceems: CeemsPlugin) -> None:
    assert await _uuids(ceems, 60, 30, version=3, running=True, uuids=["new", "old"]) == {"new", "old"}
