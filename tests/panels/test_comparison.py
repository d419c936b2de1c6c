"""Comparisons with an earlier time range, as panels ask for them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

DAY = 86_400_000
START = 1_765_065_600_000  # 2025-12-07, 00:00 UTC
WEEK, BEFORE = (START, START + 7 * DAY - 1), (START - 7 * DAY, START - 1)
BASE: dict[str, Any] = {"version": 2, "admin": True, "timezone": "UTC"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems() -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(SYNTHETIC) as running:
        yield running


async def rows(ceems: CeemsPlugin, model: dict[str, Any], window: tuple[int, int] = WEEK) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await ceems.table("admin", BASE | model, window)).to_pylist()
    return found


def change(now: float | None, then: float | None) -> float | None:
    return None if now is None or not then else (now - then) / abs(then) * 100


@pytest.mark.parametrize("format_", ["table", "numeric"])
@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ({"queryType": "usage", "source": "prorated", "groupBy": ["project", "username"]}, ("project", "username")),
        ({"queryType": "usage", "groupBy": ["cluster_id"]}, ("cluster_id",)),
        (
            {"queryType": "usage", "exactGroupBy": False, "groupBy": ["cluster_id"]},
            ("username", "project", "cluster_id"),
        ),
        ({"queryType": "usage"}, ()),
        ({"queryType": "stats"}, ("cluster_id",)),
    ],
)
async def test_a_comparison_has_the_values_of_both_ranges(
    ceems: CeemsPlugin, asked: dict[str, Any], keys: tuple[str, ...], format_: str
) -> None:
    numbers = ["num_units"] if asked["queryType"] == "stats" else ["num_units", "total_time_seconds.walltime"]
    model = {**asked, "fields": [*keys, *numbers], "format": format_}

    def by_key(found: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
        return {tuple(row[key] for key in keys): row for row in found}

    both = await rows(ceems, model | {"compare": "previous"})
    now, then = by_key(await rows(ceems, model)), by_key(await rows(ceems, model, BEFORE))
    assert by_key(both).keys() == now.keys() | then.keys()
    assert len(both) == len(now.keys() | then.keys())
    for key, row in by_key(both).items():
        assert list(row) == [*keys, *(name + end for name in numbers for end in ("", ".previous", ".change_percent"))]
        for name in numbers:
            left, right = (side.get(key, {}).get(name) for side in (now, then))
            assert (row[name], row[f"{name}.previous"]) == (left, right)
            assert row[f"{name}.change_percent"] == pytest.approx(change(left, right))
    assert any(row[f"{numbers[0]}.change_percent"] is not None for row in both)


async def test_rows_sort_by_their_change_before_the_limit_counts(ceems: CeemsPlugin) -> None:
    model: dict[str, Any] = {"queryType": "usage", "groupBy": ["username"], "fields": ["num_units"]}
    model |= {"compare": "previous", "orderBy": ["-num_units.change_percent"]}
    whole = [row["num_units.change_percent"] for row in await rows(ceems, model)]
    known = [value for value in whole if value is not None]
    assert len(known) > 3
    assert whole == [*sorted(known, reverse=True), *([None] * (len(whole) - len(known)))]
    assert [row["num_units.change_percent"] for row in await rows(ceems, model | {"limit": 2})] == whole[:2]


async def test_numbers_have_units_and_descriptions(ceems: CeemsPlugin) -> None:
    model = {"queryType": "usage", "fields": ["total_energy_usage_kwh.total"], "compare": "year"}
    schema = (await ceems.table("admin", BASE | model, WEEK)).schema
    configs = {field.name: (field.metadata or {})[b"config"].decode() for field in schema}
    assert '"unit":"kwatth"' in configs["total_energy_usage_kwh.total.previous"]
    assert "in the earlier time range" in configs["total_energy_usage_kwh.total.previous"]
    changed = configs["total_energy_usage_kwh.total.change_percent"]
    assert '"unit":"percent"' in changed
    assert '"max"' not in changed


@pytest.mark.parametrize(
    ("step", "source"), [("day", "daily"), ("hour", "units"), ("day", "prorated"), ("week", "units")]
)
async def test_series_have_the_earlier_values_at_the_same_steps(ceems: CeemsPlugin, step: str, source: str) -> None:
    model: dict[str, Any] = {"queryType": "usage-over-time", "step": step, "source": source, "groupBy": ["cluster_id"]}
    model["fields"] = ["total_time_seconds.walltime"]
    both = await ceems.table("admin", BASE | model | {"compare": "previous"}, WEEK)
    now = await ceems.table("admin", BASE | model, WEEK)
    then = await ceems.table("admin", BASE | model, BEFORE)

    def series(table: Any) -> dict[tuple[str, str], list[float | None]]:
        found = {}
        for place, field in enumerate(table.schema):
            if field.name != "time":
                found[field.name, field.metadata[b"labels"].decode()] = table.column(place).to_pylist()
        return found

    found = series(both)
    for (name, labels), values in series(now).items():
        assert found[name, labels] == values
    previous = {key: values for key, values in found.items() if key[0].endswith(".previous")}
    for (name, labels), values in series(then).items():
        assert previous[f"{name}.previous", labels] == values
    assert any(value is not None for values in previous.values() for value in values)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ({"queryType": "units"}, "compare does not go with units: use usage, stats or usage-over-time"),
        ({"queryType": "clusters"}, "compare does not go with clusters: use usage, stats or usage-over-time"),
        ({"queryType": "usage", "mode": "global"}, "compare: usage and stats of all time have no earlier time range"),
        ({"queryType": "stats", "mode": "global"}, "compare: usage and stats of all time have no earlier time range"),
    ],
)
async def test_what_cannot_be_compared(ceems: CeemsPlugin, model: dict[str, Any], error: str) -> None:
    response = (await ceems.query("admin", {"A": BASE | model | {"compare": "previous"}}, WEEK))["A"]
    assert response.status == 400
    assert error in response.error


async def test_members_compare_only_what_they_may_see(ceems: CeemsPlugin) -> None:
    model = {"version": 2, "queryType": "usage", "groupBy": ["project"], "fields": ["num_units"], "admin": False}
    now = (await ceems.table("usr1", model, WEEK)).to_pylist()
    then = (await ceems.table("usr1", model, BEFORE)).to_pylist()
    both = (await ceems.table("usr1", model | {"compare": "previous", "timezone": "UTC"}, WEEK)).to_pylist()
    assert {row["project"] for row in both} == {row["project"] for row in (*now, *then)}


async def test_the_inspector_names_the_comparison(ceems: CeemsPlugin) -> None:
    table = await ceems.table("admin", BASE | {"queryType": "stats", "compare": "year"}, WEEK)
    assert "period year" in (table.schema.metadata or {})[b"meta"].decode()
