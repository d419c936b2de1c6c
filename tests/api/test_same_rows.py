"""A panel and the API get the same rows for the same question, whatever the question."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.domain.columns import UNIT_COLUMNS
from ceems_grpc.schema import METRICS
from tests.support.compare import first_difference, plain, same
from tests.support.frame_rows import frame_rows
from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import read_frame
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, LAST = 1_760_000_000, 1_767_300_000  # all units of the database lie in this window
LOGINS = (None, "admin", "user0000", "user0004", "user0011", "user0029", "proj006:svc", "stranger")
METRIC_NAMES = tuple(column.name for column in METRICS)
PLAIN_UNIT_FIELDS = (
    "cluster_id", "resource_manager", "uuid", "name", "project", "groupname", "username", "elapsed", "state",
    "created_at_ts", "started_at_ts", "ended_at_ts",
)  # fmt: skip
UNIT_FIELDS = (*PLAIN_UNIT_FIELDS, *METRIC_NAMES)
USAGE_FIELDS = ("cluster_id", "resource_manager", "num_units", "project", "groupname", "username", *METRIC_NAMES)

clusters = st.lists(st.sampled_from(("slurm-0", "slurm-1", "os-0", "k8s-0", "none")), max_size=2)
projects = st.lists(st.sampled_from([f"proj{number:03}" for number in range(12)]), max_size=3)
users = st.lists(st.sampled_from(("user0000", "user0004", "user0019", "proj006:svc", "none")), max_size=2)
moments = st.integers(FIRST, LAST)
windows = st.one_of(st.just((FIRST, LAST)), st.tuples(moments, moments), moments.map(lambda at: (at, at + 86_400)))
groups = st.lists(st.sampled_from(("cluster_id", "resource_manager", "project", "groupname", "username")), max_size=3)


def fields(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.one_of(st.just(list(names)), st.lists(st.sampled_from((*names, "nothing")), min_size=1, max_size=6))


@st.composite
def questions(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, int]]:
    """Draw the model of a panel's query and its window."""
    kind = draw(st.sampled_from(("units", "usage", "stats")))
    mode = draw(st.sampled_from(("current", "global"))) if kind != "units" else "current"
    model: dict[str, Any] = {
        "queryType": kind,
        "mode": mode,
        "admin": True if kind == "stats" else draw(st.booleans()),
        "clusters": draw(clusters),
    }
    if kind != "stats":
        model["projects"] = draw(projects)
        model["users"] = draw(users) if model["admin"] else []
        model["fields"] = draw(fields(UNIT_FIELDS if kind == "units" else USAGE_FIELDS))
    if kind == "units":
        model["running"] = draw(st.booleans())
        model["uuids"] = draw(st.one_of(st.just([]), st.lists(st.integers(1_000_000, 1_000_600).map(str), max_size=3)))
    if kind == "usage" and mode == "current":
        model["groupBy"] = draw(groups)
        model["source"] = draw(st.sampled_from(("units", "daily")))
    return model, draw(windows)


def as_request(model: dict[str, Any], window: tuple[int, int]) -> tuple[str, list[tuple[str, Any]]]:
    """Return the path and the parameters with which the API is asked the same question."""
    kind = model["queryType"]
    path = kind if kind == "units" else f"{kind}/{model['mode']}"
    query: list[tuple[str, Any]] = [("from", window[0]), ("to", window[1])]
    repeated = {"clusters": "cluster_id", "projects": "project", "users": "user", "uuids": "uuid", "fields": "field",
                "groupBy": "groupby"}  # fmt: skip
    for name, parameter in repeated.items():
        query += [(parameter, value) for value in model.get(name, [])]
    query += [("running", "")] if model.get("running") else []
    query += [("experimental", "")] if model.get("source") == "daily" else []
    return f"{path}/admin" if model["admin"] else path, query


def rows_of(data: bytes, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a frame as the API writes those of the same question."""
    current_usage = model["queryType"] == "usage" and model["mode"] == "current"
    return frame_rows(read_frame(data), METRIC_NAMES, same_keys=current_usage)


def shown(row: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """Remove what only the API shows: keys that are always present although nobody requested them."""
    return {name: value for name, value in row.items() if name in model.get("fields", row)}


async def difference(ceems: Source, login: str | None, model: dict[str, Any], window: tuple[int, int]) -> str:
    path, query = as_request(model, window)
    answer = await ceems.get(login, path, *query)
    frames = (await ceems.query(login, {"A": model}, (window[0] * 1000, window[1] * 1000)))["A"]
    assert frames.status == answer.status, (answer.body, frames.error)
    if answer.status != 200:
        # If nobody is signed in, a panel also says what to do.
        told = frames.error.partition(":")[0] if answer.status == 401 else frames.error
        return "" if told == answer.json["error"] else f"{frames.error} / {answer.body!r}"
    got = plain(rows_of(frames.frames[0], model))
    if not read_frame(frames.frames[0]).num_columns:  # no row has any of the requested metrics
        got = [{} for _ in answer.json["data"]]
    wanted = plain([shown(row, model) for row in answer.json["data"]])
    return "" if same(got, wanted) else first_difference(got, wanted)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(login=st.sampled_from(LOGINS), question=questions())
async def test_rows_are_the_same(
    plugin: Plugin, login: str | None, question: tuple[dict[str, Any], tuple[int, int]]
) -> None:
    assert not await difference(source(plugin, SYNTHETIC), login, *question)


@pytest.mark.parametrize("kind", ["units", "usage", "stats"])
@pytest.mark.parametrize("mode", ["current", "global"])
async def test_rows_of_the_whole_database_are_the_same(plugin: Plugin, kind: str, mode: str) -> None:
    ceems = source(plugin, SYNTHETIC)
    model: dict[str, Any] = {"queryType": kind, "mode": mode, "admin": True, "running": True}
    model |= {"fields": list(UNIT_FIELDS)} if kind == "units" else {}
    model |= {"fields": list(USAGE_FIELDS), "groupBy": ["cluster_id"]} if kind == "usage" else {}
    assert not await difference(ceems, "admin", model, (FIRST, LAST))
    path, query = as_request(model, (FIRST, LAST))
    counts = {
        "units": 'SELECT count(*) FROM units WHERE "ignore" = 0',
        "usage": "SELECT count(*) FROM (SELECT DISTINCT cluster_id, username, project FROM units)",
        "stats": "SELECT count(DISTINCT cluster_id) FROM units",
    }
    with closing(sqlite3.connect(SYNTHETIC)) as connection:
        ((count,),) = connection.execute(counts[kind])
    assert count > 3
    assert len(await ceems.rows("admin", path, *query)) == count


async def test_the_comparison_sees_a_difference(plugin: Plugin) -> None:
    ceems = source(plugin, SYNTHETIC)
    model = {"queryType": "units", "admin": True, "fields": ["uuid"], "clusters": []}
    answer = await ceems.get("admin", "units/admin", ("from", FIRST), ("to", LAST), ("field", "uuid"))
    response = (await ceems.query("admin", {"A": model}, (FIRST * 1000, (LAST - 86_400 * 30) * 1000)))["A"]
    assert not same(plain(rows_of(response.frames[0], model)), plain(answer.json["data"]))


async def test_lists_hold_the_same_names(plugin: Plugin) -> None:
    ceems = source(plugin, SYNTHETIC)
    for login, admin in (("admin", True), ("user0011", False), ("stranger", False)):
        for kind, name in (("users", "name"), ("projects", "name"), ("clusters", "id")):
            rows = await ceems.rows(login, f"{kind}/admin" if admin else kind)
            table = await ceems.table(login, {"queryType": kind, "admin": admin}, (FIRST * 1000, LAST * 1000))
            assert table.column(name).to_pylist() == [row[name] for row in rows], (login, kind)


async def test_all_fields_of_units_are_compared() -> None:
    # Times are compared as numbers (..._ts); allocation and tags are objects in the API and fields in frames.
    others = {"created_at", "started_at", "ended_at", "allocation", "tags"}
    assert {column.name for column in UNIT_COLUMNS} == {*UNIT_FIELDS} | others
