"""What the query inspector shows: statements for administrators, descriptions for others, numbers for all."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.domain.questions.model import Filter, Selection, UnitsQuestion, Viewer
from ceems_grpc.domain.questions.window import LAST_SECOND, Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana.backend.context import from_epoch_ms
from ceems_grpc.grafana.backend.query import DataQuery, TimeRange
from ceems_grpc.panels.answers import Panels
from ceems_grpc.panels.report import Times, describe, executed_text, query_stats
from ceems_grpc.store.runtime.admission import Lane, Queue
from ceems_grpc.store.runtime.cost import CostClass
from ceems_grpc.store.runtime.query_trace import QueryTrace, TracedStatement, of_source, record, trace_query, waiting
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.mirrors import ZONE, following, make_site
from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin
from tests.support.plugin.process import Plugin

WINDOW = (1_763_700_000_000, 1_767_250_000_000)
USAGE: dict[str, Any] = {"queryType": "usage", "admin": True, "fields": ["total_energy_usage_kwh"], "users": ["user1"]}
OVER_TIME = {"queryType": "usage-over-time", "admin": True, "groupBy": ["cluster_id"], "format": "multi"}


@pytest.fixture
def ceems(plugin: Plugin, request: pytest.FixtureRequest) -> CeemsPlugin:
    """Return a data source of the test's own, with no cached answers yet."""
    return CeemsPlugin(plugin, {"path": str(SYNTHETIC), "serviceUser": request.node.name})


def meta_of(table: pa.Table) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((table.schema.metadata or {})[b"meta"])
    return meta


def stats_of(meta: dict[str, Any]) -> dict[str, float]:
    return {stat["displayName"]: stat["value"] for stat in meta["stats"]}


@pytest.mark.asyncio(loop_scope="module")
async def test_administrators_of_grafana_see_statements_and_others_words(ceems: CeemsPlugin) -> None:
    texts = {}
    for role in ("Admin", "Editor", "Viewer", ""):
        table = await ceems.table("admin", {**USAGE, "limit": len(role) + 1}, WINDOW, role=role)
        texts[role] = meta_of(table)["executedQueryString"]
    assert "SELECT" in texts["Admin"]
    assert "'admin'" in texts["Admin"]  # a parameter
    assert "database (sqlite)" in texts["Admin"]
    for role in ("Editor", "Viewer", ""):
        assert "SELECT" not in texts[role]
        assert "FROM" not in texts[role]
        assert texts[role].startswith("usage; 2025-11-21T04:40:00Z to 2026-01-01T06:46:40Z;")
        assert "users user1; fields total_energy_usage_kwh" in texts[role]


@pytest.mark.asyncio(loop_scope="module")
async def test_numbers_say_from_where_and_how_long(ceems: CeemsPlugin) -> None:
    table = await ceems.table("admin", {"queryType": "units", "admin": True}, WINDOW)
    stats = stats_of(meta_of(table))
    assert stats["Rows of the answer"] == table.num_rows
    assert stats["Rows read, database"] >= table.num_rows
    assert stats["Statements, database"] >= 1
    assert 0 < stats["Engine"] <= stats["Total in the plugin"]
    assert 0 <= stats["Frames"] <= stats["Total in the plugin"]
    units = {stat["displayName"]: stat.get("unit") for stat in meta_of(table)["stats"]}
    assert {units[name] for name in ("Waiting", "Engine", "Frames", "Total in the plugin")} == {"ms"}


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_that_was_kept_says_so(ceems: CeemsPlugin) -> None:
    first, again = [meta_of(await ceems.table("admin", USAGE, WINDOW, role="Admin")) for _ in range(2)]
    assert "Kept for" not in stats_of(first)
    assert 0 <= stats_of(again)["Kept for"] < 60
    assert "This answer was kept for 0 s" in again["executedQueryString"]
    summing = "total_cpu_energy_usage_kwh"
    assert summing in first["executedQueryString"]
    assert summing in again["executedQueryString"]  # how the answer was made
    assert stats_of(again).get("Rows read, database", 0) < stats_of(first)["Rows read, database"]
    words = meta_of(await ceems.table("admin", USAGE, WINDOW))
    assert "kept for" in words["executedQueryString"]
    assert "SELECT" not in words["executedQueryString"]


@pytest.mark.asyncio(loop_scope="module")
async def test_of_several_frames_the_first_reports_for_all(ceems: CeemsPlugin) -> None:
    response = (await ceems.query("admin", {"A": OVER_TIME}, WINDOW))["A"]
    metas = [json.loads(pa.ipc.open_file(frame).schema.metadata[b"meta"]) for frame in response.frames]
    assert len(metas) > 1
    assert metas[0]["executedQueryString"]
    rows = sum(pa.ipc.open_file(frame).read_all().num_rows for frame in response.frames)
    assert stats_of(metas[0])["Rows of the answer"] == rows
    assert not any("stats" in meta or "executedQueryString" in meta for meta in metas[1:])


def query(**model: Any) -> DataQuery:
    window = TimeRange(from_epoch_ms(0), from_epoch_ms(2_000_000_000_000))
    return DataQuery("A", "", 100, timedelta(0), window, json.dumps({"admin": True, **model}).encode())


async def test_the_mirror_and_twins_are_told(tmp_path: Path) -> None:
    path = make_site(tmp_path / "ceems.db", 300)
    root = Viewer("root", admin_by_role=True)
    async with following(path, tmp_path / "mirror") as store:
        async with store.read():
            pass
        assert await store.settled()
        panels = Panels(Ceems(store))
        (frame,) = await panels.answer(root, query(queryType="stats", mode="global"), statements=True)
        assert frame.meta
        assert "-- mirror (duckdb): " in frame.meta.executed_query
        assert "database" not in frame.meta.executed_query
        assert {stat.display_name for stat in frame.meta.stats} >= {"Statements, mirror", "Rows read, mirror"}
        twins = await asyncio.gather(
            *[panels.answer(root, query(queryType="units"), statements=True) for _ in range(3)]
        )
        texts = [frames[0].meta.executed_query for frames in twins if frames[0].meta]
        assert sum("an equal question that was asked at the same time" in text for text in texts) == 2
        assert all("SELECT" in text for text in texts)


async def test_waiting_is_counted_and_traces_do_not_mix(tmp_path: Path) -> None:
    path = make_site(tmp_path / "ceems.db", 50)
    store = SqliteStore(path, zone=ZONE)
    ceems = Ceems(store)
    ceems._queue = Queue({cost: Lane(cost, 1, 10) for cost in CostClass})
    panels = Panels(ceems)
    kinds = ("users", "projects", "clusters", "stats")
    root = Viewer("root", admin_by_role=True)
    found = await asyncio.gather(*[panels.answer(root, query(queryType=kind), statements=True) for kind in kinds])
    metas = [frames[0].meta for frames in found]
    waited = [stat.value for meta in metas if meta for stat in meta.stats if stat.display_name == "Waiting"]
    assert max(waited) > 0
    for kind, meta in zip(kinds, metas, strict=True):
        assert meta is not None
        assert meta.executed_query.startswith(f"-- {kind}")
        table = {"users": "users", "projects": "projects", "clusters": "units", "stats": "units"}[kind]
        assert f"FROM `{table}`" in meta.executed_query
        assert meta.executed_query.count("SELECT") < 6
    await store.close()


async def test_sources_are_named() -> None:
    with trace_query() as trace:
        for name in ("site-a", "site-b"):
            with of_source(name):
                await asyncio.to_thread(lambda: record("mirror", "duckdb", "SELECT 1").ran(0.0, 3))
        record("database", "sqlite", "SELECT 2")
    assert trace.stores == ("site-a mirror", "site-b mirror", "database")
    names = [stat.display_name for stat in query_stats(0, trace, Times(1.0, 0.5))]
    assert "Rows read, site-b mirror" in names


def test_nothing_is_kept_where_nobody_asks() -> None:
    with waiting():
        recorded = record("database", "sqlite", "SELECT 1", ("x" * 10_000,))
    recorded.ran(0.0, 1)
    assert recorded.parameters == ()


def test_long_texts_are_shortened() -> None:
    with trace_query() as trace:
        for _ in range(100):
            record("database", "sqlite", "SELECT ?", ("x" * 10_000, list(range(1_000))))
    text = executed_text("units", trace, statements=True)
    assert "(10000 characters)" in text
    assert "(1000 values)" in text
    assert len(text) < 70_000
    assert text.endswith("characters)")


_NAMES = st.text(max_size=8)
_CHOICES = st.builds(
    Selection,
    clusters=st.tuples(_NAMES),
    users=st.lists(_NAMES, max_size=3).map(tuple),
    filters=st.lists(st.builds(Filter, _NAMES, st.just("="), st.tuples(_NAMES)), max_size=2).map(tuple),
)
_SECONDS = st.integers(0, LAST_SECOND)


@given(st.builds(UnitsQuestion, st.builds(Window, _SECONDS, _SECONDS), _CHOICES, limit=st.none() | st.integers(0)))
def test_every_question_can_be_described(question: UnitsQuestion) -> None:
    text = describe("units", question)
    assert text.startswith("units; ")
    for user in question.selection.users:
        assert user in text
    assert describe("units", replace(question, running=True)) != describe("units", replace(question, running=False))


def test_parameters_by_name_are_shown() -> None:
    trace = QueryTrace([TracedStatement("site", "postgres", "SELECT :a", {"a": "b"})])
    assert "-- parameters: a = 'b'" in executed_text("x", trace, statements=True)
