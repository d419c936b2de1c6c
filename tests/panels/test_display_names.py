"""Display names of fields: the legend of a query, and how the queries of a panel are told apart."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOW = (1_763_700_000_000, 1_767_250_000_000)
ENERGY = "total_energy_usage_kwh.total"
OVER_TIME: dict[str, Any] = {"queryType": "usage-over-time", "version": 3, "admin": True, "step": "week"}
USAGE: dict[str, Any] = {"queryType": "usage", "version": 3, "admin": True, "source": "prorated"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems() -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(SYNTHETIC) as running:
        yield running


async def _shown(ceems: CeemsPlugin, **queries: dict[str, Any]) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """Return the names of the frames and, for each, the display names of its fields and their labels."""
    answers = await ceems.query("admin", queries, WINDOW)
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for ref_id in queries:
        assert not answers[ref_id].error, answers[ref_id].error
        for frame in answers[ref_id].frames:
            table = read_frame(frame)
            shown = found.setdefault((table.schema.metadata or {})[b"name"].decode(), [])
            for field in table.schema:
                facts = field.metadata or {}
                config = json.loads(facts.get(b"config", b"{}"))
                shown.append((config.get("displayNameFromDS", ""), json.loads(facts.get(b"labels", b"{}"))))
    return found


async def test_one_metric_is_shown_by_its_group_alone(ceems: CeemsPlugin) -> None:
    (fields,) = (await _shown(ceems, A={**OVER_TIME, "groupBy": ["project"], "fields": [ENERGY]})).values()
    assert fields[0] == ("", {})
    assert len(fields) > 2
    for name, labels in fields[1:]:
        assert name == labels["project"]


async def test_several_metrics_are_named_with_their_units(ceems: CeemsPlugin) -> None:
    query = {**OVER_TIME, "groupBy": ["cluster_id"], "fields": [ENERGY, "avg_cpu_usage.global"]}
    (fields,) = (await _shown(ceems, A=query)).values()
    for name, labels in fields[1:]:
        assert name.removeprefix(f"{labels['cluster_id']}: ") in {"Energy usage (kWh)", "Average CPU usage (%)"}
    assert len({name for name, _ in fields}) == len(fields)


async def test_without_groups_a_series_has_the_name_of_its_metric(ceems: CeemsPlugin) -> None:
    shown = await _shown(ceems, A={**OVER_TIME, "fields": [ENERGY]})
    assert shown == {"usage-over-time": [("", {}), ("Energy usage (kWh)", {})]}


async def test_a_template_has_groups_and_the_metric(ceems: CeemsPlugin) -> None:
    legend = "{{project}} / {{ cluster_id }}: {{metric}} = {{field}}, {{refId}}{{nothing}}"
    query = {**OVER_TIME, "groupBy": ["project", "cluster_id"], "fields": [ENERGY], "legend": legend}
    (fields,) = (await _shown(ceems, B=query)).values()
    for name, labels in fields[1:]:
        assert name == f"{labels['project']} / {labels['cluster_id']}: Energy usage (kWh) = {ENERGY}, B"


@pytest.mark.parametrize("format_", ["wide", "multi"])
async def test_labels_stay(ceems: CeemsPlugin, format_: str) -> None:
    query = {**OVER_TIME, "groupBy": ["project"], "fields": [ENERGY], "format": format_}
    named = await _shown(ceems, A=query)
    plain = await _shown(ceems, A={**query, "legend": "names"})
    assert [labels for _, labels in named["usage-over-time"]] == [labels for _, labels in plain["usage-over-time"]]
    assert {name for name, _ in plain["usage-over-time"]} == {""}


async def test_tables_keep_the_names_of_their_columns(ceems: CeemsPlugin) -> None:
    query = {**USAGE, "groupBy": ["project"], "fields": ["num_units", ENERGY, "total_time_seconds"]}
    table = await ceems.table("admin", query, WINDOW)
    assert table.column_names[:3] == ["project", "num_units", ENERGY]
    (fields,) = (await _shown(ceems, A=query)).values()
    shown = [name for name, _ in fields]
    assert shown[:3] == ["Project", "Units", "Energy usage (kWh)"]
    assert "Time: walltime (s)" in shown
    assert all(shown)


async def test_old_queries_show_names_as_before(ceems: CeemsPlugin) -> None:
    for version in (1, 2):
        query = {**USAGE, "version": version, "groupBy": ["project"], "fields": [ENERGY]}
        shown = await _shown(ceems, A=query, B={**query, "mode": "global"})
        assert list(shown) == ["usage"]
        assert {name for name, _ in shown["usage"]} == {""}


async def test_a_comparison_says_which_is_the_earlier_value(ceems: CeemsPlugin) -> None:
    (fields,) = (await _shown(ceems, A={**USAGE, "fields": [ENERGY], "compare": "previous"})).values()
    assert [name for name, _ in fields] == [
        "Energy usage (kWh)",
        "Energy usage, previous (kWh)",
        "Energy usage, change (%)",
    ]
    query = {**OVER_TIME, "groupBy": ["cluster_id"], "fields": [ENERGY], "compare": "previous"}
    (series,) = (await _shown(ceems, A=query)).values()
    assert {name for name, labels in series[1:]} == {
        labels["cluster_id"] + more for _, labels in series[1:] for more in ("", ", previous")
    }


async def test_queries_of_one_panel_are_told_apart(ceems: CeemsPlugin) -> None:
    now = {**USAGE, "groupBy": ["project"], "fields": ["num_units"]}
    alike = await _shown(ceems, A=now, B={**now, "source": "units", "mode": "global"})
    assert {frame: [name for name, _ in fields] for frame, fields in alike.items()} == {
        "usage A": ["Project", "Units (A)"],
        "usage B": ["Project", "Units (B)"],
    }
    series = {**OVER_TIME, "groupBy": ["cluster_id"]}
    different = await _shown(
        ceems, A={**series, "fields": [ENERGY]}, B={**series, "fields": ["num_units"], "legend": "{{cluster_id}}"}
    )
    for name, labels in different["usage-over-time A"][1:]:
        assert name == f"{labels['cluster_id']}: Energy usage (kWh)"
    for name, labels in different["usage-over-time B"][1:]:
        assert name == labels["cluster_id"]


async def test_long_names_are_cut(ceems: CeemsPlugin) -> None:
    (fields,) = (await _shown(ceems, A={**OVER_TIME, "fields": [ENERGY], "legend": "x" * 1000})).values()
    assert fields[1][0] == "x" * 199 + "…"
    response = (await ceems.query("admin", {"A": {**OVER_TIME, "legend": "x" * 1001}}, WINDOW))["A"]
    assert response.status == 400
    assert "legend" in response.error


async def test_frames_without_rows_are_still_empty(ceems: CeemsPlugin) -> None:
    query = {**USAGE, "users": ["nobody"], "fields": [ENERGY], "groupBy": ["project"], "format": "numeric"}
    assert (await ceems.table("admin", query, WINDOW)).num_columns == 0
