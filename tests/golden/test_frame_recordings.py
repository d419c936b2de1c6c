"""The same recordings as panel queries: frames hold what the API answered."""

import time
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from ceems_grpc.domain.columns import UNIT_COLUMNS
from ceems_grpc.schema import METRICS
from tests.support.compare import first_difference, plain, same
from tests.support.frame_rows import frame_rows
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame
from tests.support.recordings import ALL, Recording, Recordings, gathered

_KINDS = {"units": "units", "usage": "usage", "stats": "stats"}
_TIMES = {"created_at", "started_at", "ended_at"}
_METRICS = {column.name for column in METRICS}
_COMPARED = {column.name for column in UNIT_COLUMNS if column.name not in {"allocation", "tags"}} | {
    "num_units", "num_inactive_units", "num_active_units", "num_projects", "num_users",
}  # fmt: skip


@pytest.mark.parametrize("recordings", ALL, ids=lambda recordings: recordings.name)
async def test_frames_hold_what_was_recorded(recordings: Recordings) -> None:
    cases = [case for case in recordings.cases if as_query(case) is not None]
    assert len(cases) >= 35
    async with ceems_plugin(recordings.database) as ceems:
        wrong = await gathered(difference(ceems, case) for case in cases)
    assert not wrong, "\n".join(wrong[:10])


async def difference(ceems: CeemsPlugin, case: Recording) -> str:
    """Ask a recorded question as a panel does; return how the frame differs, "" if it does not."""
    query = as_query(case)
    assert query is not None
    response = (await ceems.query(case.user, {"A": query}, _window(case)))["A"]
    if response.status != case.status:
        return f"{case}: status {response.status} {response.error}, wanted {case.status}"
    if case.status != 200:
        # If nobody is signed in, a panel's message says more.
        told = response.error.partition(":")[0] if response.status == 401 else response.error
        return "" if told == case.body["error"] else f"{case}: {response.error}"
    got = plain(_rows(read_frame(response.frames[0]), same_keys=case.path.startswith("usage/current")))
    wanted = plain([_comparable(row, query["fields"]) for row in case.body["data"] or []])
    return "" if same(got, wanted) else f"{case}{first_difference(got, wanted)}"


def as_query(case: Recording) -> dict[str, Any] | None:
    """Return the panel query for the same question, None if no panel can ask it."""
    kind, *rest = case.path.split("/")
    if kind not in _KINDS or "verify" in rest:
        return None
    if case.status == 400 and "timestamp" in case.body["error"]:
        return None  # a panel always has exactly one time range
    columns = case.values("field") or ([column.name for column in UNIT_COLUMNS] if kind == "units" else [])
    return {
        "queryType": _KINDS[kind],
        "mode": "global" if "global" in rest else "current",
        "admin": "admin" in rest,
        "clusters": case.values("cluster_id"),
        "projects": case.values("project"),
        "users": case.values("user"),
        "uuids": case.values("uuid"),
        "running": "running" in dict(case.query),
        "groupBy": case.values("groupby"),
        "source": "daily" if "experimental" in dict(case.query) else "units",
        "fields": columns,
    }


def _window(case: Recording) -> tuple[int, int]:
    end = int(next(iter(case.values("to")), time.time()))
    start = int(next(iter(case.values("from")), end - 86_400))
    return start * 1000, end * 1000


def _rows(table: pa.Table, *, same_keys: bool) -> list[dict[str, Any]]:
    for index, name in enumerate(table.column_names):
        if name in _TIMES:
            milliseconds = table.column(name).cast(pa.timestamp("ms")).cast(pa.int64())
            table = table.set_column(index, name, milliseconds)
    return [
        {name: (value or 0) // 1000 if name in _TIMES else value for name, value in row.items() if name in _COMPARED}
        for row in frame_rows(table, _METRICS, same_keys=same_keys)
    ]


def _comparable(row: dict[str, Any], asked: list[str]) -> dict[str, Any]:
    """Keep what frames show in the same form: moments as seconds, no allocation or tags, requested fields only."""
    kept = {name: value for name, value in row.items() if name not in {"allocation", "tags"}}
    for name in _TIMES & kept.keys():
        kept[name] = _seconds(kept[name])
    return {name: value for name, value in kept.items() if not asked or name in asked}


def _seconds(text: str) -> int:
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())
    except ValueError:  # Unknown, N/A
        return 0
