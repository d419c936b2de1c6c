"""Saved queries keep their meaning: a query without a version has version 1, and the frontend has the same table."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import UnitsQuestion, UsageQuestion
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.panels.query_model import Question, question_of, read_query
from ceems_grpc.panels.query_versions import CURRENT, STEPS
from tests.support.places import ROOT, SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

WINDOW = (1_763_700_000_000, 1_767_250_000_000)
BROWSER = ROOT / "frontend" / "src" / "query" / "versions.json"


def _question(**query: Any) -> Question:
    model, kind = read_query(msgspec.json.encode(query))
    return question_of(model, kind, Window(0, 1))


def test_the_browser_has_the_same_table() -> None:
    table = [asdict(step) for step in STEPS]
    for step in table:
        step["defaults"] = [
            {"queryTypes" if key == "query_types" else key: value for key, value in default.items()}
            for default in step["defaults"]
        ]
    assert json.loads(BROWSER.read_text("utf-8")) == json.loads(json.dumps(table))


def test_versions_follow_each_other() -> None:
    assert [step.version for step in STEPS] == list(range(2, CURRENT + 1))


@pytest.mark.parametrize(
    ("query", "exact", "admin"),
    [
        ({}, False, False),
        ({"version": 1}, False, False),
        ({"exactGroupBy": True, "admin": "auto"}, True, "auto"),
        ({"version": 2}, True, "auto"),
        ({"version": 2, "exactGroupBy": False, "admin": False}, False, False),
        ({"version": 2, "admin": True}, True, True),
    ],
)
def test_what_absent_keys_of_usage_mean(query: dict[str, Any], exact: bool, admin: bool | str) -> None:
    question = _question(queryType="usage", **query)
    assert isinstance(question, UsageQuestion)
    assert (question.exact_groups, question.admin) == (exact, admin)


def test_every_type_asks_as_whichever_the_viewer_is() -> None:
    for kind in ("units", "usage", "usage-over-time", "stats", "users", "projects", "clusters"):
        assert _question(queryType=kind, version=2).admin == "auto"
        assert _question(queryType=kind).admin is False


@pytest.mark.parametrize("version", [0, -1, CURRENT + 1, 99])
def test_an_unknown_version_is_refused_with_what_to_do(version: int) -> None:
    with pytest.raises(QuestionError, match=rf"version {version}.*knows versions 1 to {CURRENT}.*update the plugin"):
        _question(version=version)
    with pytest.raises(QuestionError, match="cannot be read"):
        read_query(b'{"version": "2"}')


def test_groups_are_columns_of_the_answer() -> None:
    asked: dict[str, Any] = {"queryType": "usage", "groupBy": ["project", "cluster_id"], "exactGroupBy": True}
    shown = {
        (version, tuple(fields)): question.fields
        for version in (1, 2)
        for fields in ([], ["num_units"], ["num_units", "project"])
        if isinstance(question := _question(**asked, version=version, fields=fields), UsageQuestion)
    }
    assert shown[1, ("num_units",)] == ("num_units",)
    assert shown[2, ("num_units",)] == ("project", "cluster_id", "num_units")
    assert shown[2, ("num_units", "project")] == ("cluster_id", "num_units", "project")
    assert shown[2, ()] == ()


def test_units_have_no_groups() -> None:
    question = _question(version=2, fields=["uuid"], groupBy=["project"])
    assert isinstance(question, UnitsQuestion)
    assert question.fields == ("uuid",)


@pytest_asyncio.fixture
async def ceems() -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(SYNTHETIC) as running:
        yield running


async def test_usage_without_groups_is_one_row(ceems: CeemsPlugin) -> None:
    query = {"queryType": "usage", "source": "prorated", "fields": ["avg_cpu_usage.global", "num_units"], "admin": True}
    new = await ceems.table("admin", {**query, "version": 2}, WINDOW)
    assert (new.num_rows, new.column_names) == (1, ["avg_cpu_usage.global", "num_units"])
    for old in ({}, {"version": 1}, {"version": 2, "exactGroupBy": False}):
        table = await ceems.table("admin", {**query, **old}, WINDOW)
        assert table.num_rows > 1
        assert sum(table.column("num_units").to_pylist()) == new.column("num_units")[0].as_py()


async def test_a_query_of_usage_with_no_rows_has_none(ceems: CeemsPlugin) -> None:
    table = await ceems.table("admin", {"version": 2, "queryType": "usage", "users": ["nobody"], "admin": True}, WINDOW)
    assert table.num_rows == 0
