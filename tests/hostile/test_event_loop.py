"""No request waits for the question of another: no step of the event loop is long, for any question."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.hostile.loop_stores import kinds, opened
from tests.hostile.test_query_models import DEEP, METACHARACTERS, ODD
from tests.hostile.wellness import MEBIBYTE, peak_memory
from tests.support.databases import DAY, NOON, SiteDatabase
from tests.support.plugin.process import Plugin, lines, running
from tests.support.plugin.source import Source

LONGEST = 0.050  # seconds of processor time for one step
GROUPS = 3_300
UNITS = 15_000
RANGE = ((NOON - 2 * DAY) * 1000, (NOON + DAY) * 1000)
YEARS = ((NOON - 9_990 * DAY) * 1000, NOON * 1000)
METRICS: dict[str, Any] = {
    name: {"total": 1.5, "rte_total": 2.5, "owid_total": 3.5}
    for name in ("total_cpu_energy_usage_kwh", "total_gpu_energy_usage_kwh", "total_cpu_emissions_gms")
}

QUESTIONS: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "units": ({"queryType": "units"}, RANGE),
    "units by a derived field": ({"queryType": "units", "orderBy": ["-total_energy_usage_kwh.total", "uuid"]}, RANGE),
    "500 keys of units": ({"queryType": "units", "fields": [f"tags.k{number}" for number in range(500)]}, RANGE),
    "usage": ({"queryType": "usage", "orderBy": ["-total_energy_usage_kwh"]}, RANGE),
    "500 keys of usage": ({"queryType": "usage", "fields": [f"avg_cpu_usage.k{i}" for i in range(500)]}, RANGE),
    "numeric usage": ({"queryType": "usage", "format": "numeric"}, RANGE),
    "stats": ({"queryType": "stats", "mode": "global"}, RANGE),
    "users": ({"queryType": "users"}, RANGE),
    "projects": ({"queryType": "projects"}, RANGE),
    "days of all": ({"queryType": "usage-over-time", "groupBy": ["username"], "fields": ["num_units"]}, RANGE),
    "days of all as frames": (
        {"queryType": "usage-over-time", "groupBy": ["username"], "fields": ["num_units"], "format": "multi"},
        RANGE,
    ),
    "27 years of one": ({"queryType": "usage-over-time", "fields": ["num_units", *METRICS]}, YEARS),
    "27 years of all": ({"queryType": "usage-over-time", "groupBy": ["username"], "fields": ["num_units"]}, YEARS),
    "hours of all": (
        {"queryType": "usage-over-time", "groupBy": ["username"], "step": "hour", "fields": ["num_units"]},
        RANGE,
    ),
    "5,000 fields": ({"queryType": "units", "fields": [f"tags.k{number}" for number in range(5_000)]}, RANGE),
    "5,000 orders": ({"queryType": "units", "orderBy": ["-total_energy_usage_kwh.total"] * 5_000}, RANGE),
    "5,000 values": ({"queryType": "usage", "projects": [f"p{number:090}" for number in range(5_000)]}, RANGE),
    "100 filters": (
        {"queryType": "usage", "filters": [{"key": f"total_cpu_energy_usage_kwh.k{i}", "operator": "<", "value": 1}
                                           for i in range(100)]},
        RANGE,
    ),
}  # fmt: skip
RESOURCES = ("units/admin", "usage/current/admin", "usage/global/admin", "stats/global/admin", "users/admin")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "ceems.db"
    with SiteDatabase(path) as site:
        site.admin("root")
        site.project("alpha", [f"user{number:05}" for number in range(GROUPS)])
        site.unit("unit-00000", "user00000", "alpha", NOON, tags={"qos": "normal"}, **METRICS)
        site.usage("user00000", "alpha", NOON, **METRICS)
        site.usage("user00000", "alpha", NOON // DAY * DAY, daily=True, **METRICS)
        for table, count, values in (
            ("units", UNITS, {"uuid": "printf('unit-%05d', i)", "username": f"printf('user%05d', i % {GROUPS})"}),
            ("usage", GROUPS, {"username": "printf('user%05d', i)"}),
            ("daily_usage", GROUPS, {"username": "printf('user%05d', i)"}),
        ):
            columns = [row[1] for row in site.connection.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
            names = ", ".join(f'"{name}"' for name in columns)
            chosen = ", ".join(values.get(name, f'"{name}"') for name in columns)
            site.connection.execute(
                f"INSERT INTO {table} ({names}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                f" WHERE i < {count - 1}) SELECT {chosen} FROM {table}, n WHERE username = 'user00000'"
            )
    return path


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Plugin]:
    async with running(_watched(tmp_path / "steps", "serve")) as started:
        yield started


def _watched(file: Path, command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.support.plugin.watched", str(file), command)


@pytest.mark.parametrize("kind", kinds())
async def test_no_step_of_the_loop_is_long(
    watched: Plugin, database: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    async with opened(kind, watched, database, _watched(tmp_path / "far", "server"), request) as ceems:
        await _check_steps(ceems, tmp_path)
    assert peak_memory(watched.process.pid) < 600 * MEBIBYTE


async def _check_steps(ceems: Source, folder: Path) -> None:
    await _ask(ceems, {"warm": QUESTIONS["units"], "up": QUESTIONS["usage"], "times": QUESTIONS["27 years of one"]})
    await ceems.get("root", "units/admin")
    began = time.monotonic()
    answers: dict[str, Any] = {}
    for name, question in QUESTIONS.items():
        answers |= await _ask(ceems, {name: question})
    for path in RESOURCES:
        window = (("from", RANGE[0] // 1000), ("to", RANGE[1] // 1000))
        assert (await ceems.get("root", path, *window)).status == 200, path
    await ceems.get("root", "units/admin", *[("cluster_id", f"%41{number}") for number in range(5_000)])
    await asyncio.gather(*(_ask_body(ceems, body) for body in (*DEEP.values(), *ODD.values())))
    await _ask_body(ceems, json.dumps({"fields": METACHARACTERS}).encode())
    refused = {name for name, answer in answers.items() if answer.error}
    assert refused == {"27 years of all", "5,000 fields"}, {name: answers[name].error for name in refused}
    steps = [line.split(" ", 2) for name in ("steps", "far") for line in lines(folder / name)]
    long = [f"{ms} ms: {what}" for at, ms, what in steps if float(at) >= began and float(ms) > LONGEST * 1000]
    assert not long, "\n".join(long)


async def _ask(ceems: Source, questions: dict[str, tuple[dict[str, Any], tuple[int, int]]]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for name, (model, window) in questions.items():
        answers[name] = (await ceems.query("root", {"A": {"admin": True, **model}}, window))["A"]
    return answers


async def _ask_body(ceems: Source, body: bytes) -> None:
    span = pb.TimeRange(fromEpochMS=RANGE[0], toEpochMS=RANGE[1])
    query = pb.DataQuery(refId="A", json=body, timeRange=span)
    await ceems.plugin.call(
        "Data.QueryData", pb.QueryDataRequest(pluginContext=ceems.asker("root").context(), queries=[query])
    )
