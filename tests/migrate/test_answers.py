"""Rewritten targets get the answers that the REST API gives to the requests that they replace."""

import json
import math
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.domain.questions.model import Viewer
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana.backend.query import DataQuery, TimeRange
from ceems_grpc.grafana.data.frame import Frame
from ceems_grpc.migrate.queries.api_call import read_call
from ceems_grpc.migrate.queries.target import rewrite_target
from ceems_grpc.migrate.report import Json
from ceems_grpc.panels.answers import Panels
from ceems_grpc.rest.router import Api
from ceems_grpc.schema import METRICS
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.migrate.boards import NAMES, filled, load, migrated, our_targets, panels, shown_names
from tests.support.places import SYNTHETIC

RANGE = TimeRange(datetime(2025, 11, 22, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
ADMIN = Viewer("admin")
VALUES: dict[str, str | list[str]] = {
    "VAR_SITE": "slurm-0",
    "VAR_PATH": "/admin",
    "team": "proj006",
    "member": "user0000",
    "factor": "rte",
    "who": "user0001",
    "person": "user0000",
    "clusterId": "slurm-0",
    "__from": str(RANGE.start_ms // 1000),
    "__to": str(RANGE.end_ms // 1000),
}


@pytest.fixture
async def ceems() -> AsyncIterator[Ceems]:
    found = Ceems(SqliteStore(SYNTHETIC))
    yield found
    await found.close()


@pytest.fixture
async def values(ceems: Ceems) -> dict[str, str | list[str]]:
    rows = await _api(ceems, "units", {"queryType": "units"}, [("cluster_id", "slurm-0")])
    return VALUES | {"unit": rows[0]["uuid"], "others": [rows[1]["uuid"], rows[2]["uuid"]]}


async def _frame(ceems: Ceems, target: Json) -> Frame:
    query = DataQuery("A", "", 100, timedelta(minutes=1), RANGE, json.dumps(target).encode())
    frames = await Panels(ceems).answer(ADMIN, query)
    assert len(frames) == 1
    return frames[0]


async def _api(ceems: Ceems, path: str, _query: Json, parameters: list[tuple[str, str]]) -> list[Json]:
    window = [("from", VALUES["__from"]), ("to", VALUES["__to"])]
    response = await Api(ceems).answer(ADMIN, "GET", f"{path}/admin", urlencode([*parameters, *window]))
    body = response.body
    if not isinstance(body, bytes):
        body = b"".join([part async for part in body])
    assert response.status == 200, body
    rows: list[Json] = json.loads(body)["data"]
    return rows


@pytest.mark.parametrize("name", NAMES)
async def test_every_target_answers_the_columns_that_its_panel_needs(
    ceems: Ceems, values: dict[str, str | list[str]], name: str
) -> None:
    board = migrated(name, datasource_uid="x")
    empty: list[str] = []
    for panel, target in our_targets(board):
        asked = filled(target, values) | {"admin": True}
        frame = await _frame(ceems, asked)
        names = [field.name for field in frame.fields]
        for field in asked.get("fields", []):
            assert field in names or any(found.startswith(f"{field}.") for found in names), (panel["title"], field)
        if not len(frame.fields[0].data):
            empty.append(panel["title"])
    assert empty == []


@pytest.mark.parametrize("name", NAMES)
async def test_transformations_find_the_columns_that_the_panel_had(
    ceems: Ceems, values: dict[str, str | list[str]], name: str
) -> None:
    """A panel of one target has the same columns at its end as with Infinity."""
    for old, new in zip(panels(load(name)), panels(migrated(name, datasource_uid="x")), strict=True):
        targets = [target for target in new.get("targets", []) if "queryType" in target]
        if len(targets) != 1 or len(new["targets"]) != 1:
            continue
        frame = await _frame(ceems, filled(targets[0], values) | {"admin": True})
        shown = shown_names([field.name for field in frame.fields], new.get("transformations", []), values)
        expected = _expected(old, values)
        assert expected <= set(shown), old["title"]
        if not any(step["id"] == "extractFields" for step in old.get("transformations", [])):
            assert len(shown) >= len(expected)


def _expected(panel: Json, values: dict[str, str | list[str]]) -> set[str]:
    """Return the final names of the panel's columns, without columns that kept their JSON text."""
    (target,) = panel["targets"]
    columns = list(target["columns"])
    columns += [{"selector": a, "text": b} for b, a in re.findall(r'"([^"]+)"="([^"]+)"', target.get("uql", ""))]
    names = [c["text"] or c["selector"] for c in columns if c["selector"] != "tags"]
    names += [c["text"] for c in target["computed_columns"] if c["text"]]
    steps: list[Json] = []
    for step in panel.get("transformations", []):
        if step["id"] == "extractFields":
            names += [path["alias"] for path in step["options"].get("jsonPaths", [])]
            names = [name for name in names if name != step["options"]["source"]]
        else:
            steps.append(step)
    return set(shown_names(filled(names, values), steps, values))


# Comparison with the API

_METRIC_KEYS = {
    "total_time_seconds": ("walltime", "alloc_cputime"),
    "avg_cpu_usage": ("global",),
    "avg_gpu_mem_usage": ("global",),
    "total_cpu_energy_usage_kwh": ("total",),
    "total_gpu_energy_usage_kwh": ("total",),
    "total_cpu_emissions_gms": ("rte_total", "owid_total"),
    "total_io_write_stats": ("bytes", "requests"),
}
_PLAIN = {
    "units": (
        "uuid",
        "name",
        "project",
        "username",
        "state",
        "elapsed",
        "started_at_ts",
        "ended_at_ts",
        "tags.nodelist",
    ),
    "usage/current": ("cluster_id", "num_units", "project", "username"),
    "usage/global": ("cluster_id", "num_units", "project", "username"),
    "stats/current": ("cluster_id", "num_units", "num_active_units", "num_inactive_units", "num_users"),
    "stats/global": ("cluster_id", "num_units", "num_projects"),
    "users": ("cluster_id", "name"),
    "projects": ("cluster_id", "name"),
    "clusters": ("id", "manager"),
}
_KEYED = [f"{metric}.{key}" for metric, keys in _METRIC_KEYS.items() for key in keys]
_CHOICES = {
    "cluster_id": ("slurm-0", "slurm-1", "os-0", "k8s-0"),
    "project": ("proj000", "proj001", "proj005", "nobody"),
    "user": ("user0004", "user0009", "user0011"),
}


@st.composite
def _requests(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]], list[str]]:
    path = draw(st.sampled_from(sorted(_PLAIN)))
    names = [*_PLAIN[path], *(_KEYED if path.startswith(("units", "usage")) else [])]
    columns = draw(st.lists(st.sampled_from(names), min_size=1, max_size=6, unique=True))
    parameters = [
        (name, value)
        for name, values in _CHOICES.items()
        # The API ignores these where they have no meaning, and so must the rewritten targets.
        for value in draw(st.lists(st.sampled_from(values), max_size=2, unique=True))
        if not (name == "user" and path == "projects") and not (name == "project" and path == "users")
    ]
    if path == "units" and draw(st.booleans()):
        parameters.append(("running", ""))
    if path == "usage/current":
        parameters += [("groupby", name) for name in draw(st.sampled_from([[], ["cluster_id"], ["groupname"]]))]
    return path, parameters, columns


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=_requests())
async def test_a_rewritten_request_answers_what_the_api_answers(
    ceems: Ceems, request_: tuple[str, list[tuple[str, str]], list[str]]
) -> None:
    path, parameters, columns = request_
    times = [{"key": name, "value": f"${{__{name}:date:seconds}}"} for name in ("from", "to")]
    target = {
        "type": "json",
        "source": "url",
        "url": f"/api/v1/{path}/admin",
        "root_selector": "data",
        "url_options": {"params": [*({"key": k, "value": v} for k, v in parameters), *times]},
        "columns": [{"selector": column, "text": "", "type": "number"} for column in columns],
    }
    rewritten = rewrite_target(target)
    assert rewritten is not None
    frame = await _frame(ceems, rewritten.target())
    rows = await _api(ceems, path, rewritten.query, parameters)
    found = {field.name: field.data.to_pylist() for field in frame.fields}
    for column in columns:
        answered = [_pick(row, column) for row in rows]
        values = found.get(column, [None] * len(rows))
        assert len(values) == len(answered)
        for value, answer in zip(values, answered, strict=True):
            assert _same(value, answer), (column, value, answer)


def _pick(row: Json, selector: str) -> Any:
    value: Any = row
    for part in selector.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _same(value: Any, answer: Any) -> bool:
    empty = (None, 0, "")
    if value in empty or answer in empty:  # the API leaves empty values out
        return value in empty and answer in empty
    if isinstance(answer, str):
        return str(value) == answer
    return math.isclose(value, answer, rel_tol=1e-6, abs_tol=1e-7)


def test_the_metrics_that_are_compared_exist() -> None:
    assert set(_METRIC_KEYS) <= {column.name for column in METRICS}
    assert read_call({"url": "/api/v1/units", "url_options": {}}) is not None
