"""Distributions as Grafana's Histogram and Heatmap panels, tables and alert rules read them."""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio

from tests.support.databases import WINTER, insert_rows, make, unit
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame

DAY = 86_400
WINDOW = ((WINTER - 2 * DAY) * 1000, (WINTER + 7_200) * 1000)
ENERGY = "total_cpu_energy_usage_kwh.total"
QUERY: dict[str, Any] = {"queryType": "distribution", "version": 3, "of": ENERGY, "admin": True}
VALUES = [("ann", 0, 1), ("ann", 0.5, 0), ("bob", 3, 0), ("bob", 4, 0), ("bob", 400, 0)]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CeemsPlugin]:
    units = [
        unit(number, WINTER - days * DAY, username=user, total_cpu_energy_usage_kwh=json.dumps({"total": energy}))
        for number, (user, energy, days) in enumerate(VALUES)
    ]
    path: Path = make(tmp_path_factory.mktemp("distribution") / "ceems.db", units)
    with sqlite3.connect(path) as connection:
        insert_rows(connection, "admin_users", [{"name": "boss"}])
    async with ceems_plugin(path) as running:
        yield running


async def frames(ceems: CeemsPlugin, **more: Any) -> list[tuple[pa.Table, dict[str, Any]]]:
    response = (await ceems.query("boss", {"A": QUERY | more}, WINDOW))["A"]
    assert not response.error, response.error
    tables = [read_frame(frame) for frame in response.frames]
    return [(table, json.loads((table.schema.metadata or {})[b"meta"])) for table in tables]


async def error(ceems: CeemsPlugin, **more: Any) -> str:
    return str((await ceems.query("boss", {"A": QUERY | more}, WINDOW))["A"].error)


def labels(table: pa.Table) -> list[dict[str, str]]:
    found = [(field.metadata or {}).get(b"labels", b"{}") for field in table.schema]
    return [json.loads(text) for text in found if text != b"{}"]


async def test_a_histogram_of_given_buckets(ceems: CeemsPlugin) -> None:
    ((table, meta),) = await frames(ceems, bounds=[1, 10, 100], groupBy=["username"])
    assert table.column_names == ["xMin", "xMax", "num_units", "num_units"]
    assert [column.to_pylist() for column in table.columns] == [
        [pytest.approx(0.1), 1, 10, 100], [1, 10, 100, pytest.approx(1000)], [2, 0, 0, 0], [0, 2, 0, 1],
    ]  # fmt: skip
    assert labels(table) == [{"username": "ann"}, {"username": "bob"}]
    assert meta["type"] == "histogram"
    assert [notice["text"] for notice in meta["notices"]] == [
        "The outermost buckets also hold what is outside the bounds: 2 units below 1, 1 unit from 100 on."
    ]


async def test_a_histogram_of_logarithmic_buckets_has_no_gaps(ceems: CeemsPlugin) -> None:
    ((table, meta),) = await frames(ceems)
    low, high, counts = (column.to_pylist() for column in table.columns)
    assert low[1:] == high[:-1]
    assert all(high[row] / low[row] == pytest.approx(1.01 / 0.99) for row in range(len(low)))
    assert (sum(counts), counts[0]) == (5, 1)
    assert meta["notices"][0]["text"] == "The lowest bucket holds 1 unit with the value 0."


async def test_a_heatmap_has_cells_per_step(ceems: CeemsPlugin) -> None:
    ((table, meta),) = await frames(ceems, step="day", timezone="UTC", bounds=[1, 10, 100])
    assert table.column_names == ["xMax", "yMin", "yMax", "num_units"]
    assert meta["type"] == "heatmap-cells"
    ends = [moment.timestamp() for moment in table.column("xMax").to_pylist()]
    assert ends == sorted(ends)
    assert ends[-1] - ends[0] == DAY
    assert table.column("num_units").to_pylist() == [1, 1, 2, 1]
    by_user = await frames(ceems, step="day", groupBy=["username"])
    assert [labels(each) for each, _ in by_user] == [[{"username": "ann"}], [{"username": "bob"}]]


async def test_quantiles_are_numbers_and_series(ceems: CeemsPlugin) -> None:
    ((table, meta),) = await frames(ceems, format="quantiles", groupBy=["username"])
    assert (table.column_names, meta["type"]) == (["username", "p50", "p90", "p95", "p99"], "numeric-long")
    assert table.column("p50").to_pylist() == [0, pytest.approx(4, rel=0.01)]
    ((series, meta),) = await frames(ceems, format="quantiles", step="day", timezone="UTC")
    assert (series.column_names, meta["type"]) == (["time", "p50", "p90", "p95", "p99"], "timeseries-wide")
    assert [value for value in series.column("p50").to_pylist() if value is not None] == [0, pytest.approx(3, rel=0.01)]


async def test_tables_have_the_true_ends(ceems: CeemsPlugin) -> None:
    ((table, _),) = await frames(ceems, format="table", bounds=[1, 10])
    assert table.to_pylist() == [
        {"bucket_min": None, "bucket_max": 1, "num_units": 2},
        {"bucket_min": 1, "bucket_max": 10, "num_units": 2},
        {"bucket_min": 10, "bucket_max": None, "num_units": 1},
    ]
    ((table, _),) = await frames(ceems, format="table", bounds=[1], step="day", timezone="UTC")
    assert table.column_names == ["time", "bucket_min", "bucket_max", "num_units"]


@pytest.mark.parametrize(
    "shape", [{}, {"step": "day"}, {"format": "quantiles"}, {"format": "quantiles", "step": "day"}]
)
async def test_no_units_are_no_data(ceems: CeemsPlugin, shape: dict[str, Any]) -> None:
    ((table, meta),) = await frames(ceems, users=["nobody"], **shape)
    assert table.num_rows == 0
    assert meta["notices"][0]["text"] == f"No unit here has a value of '{ENERGY}'."


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"of": ""}, "of: name the field whose values are counted"),
        ({"bounds": [2, 1]}, "bounds: give the numbers in ascending order, each once"),
        ({"bounds": list(range(101))}, "the query cannot be read: Expected `array` of length <= 100"),
        ({"bounds": ["NaN"]}, "the query cannot be read: Expected `float`, got `str`"),
        ({"mode": "global"}, 'use the mode "current"'),
        ({"source": "daily"}, 'use the source "units" or "prorated"'),
        ({"format": "numeric"}, "use histogram or heatmap or quantiles or table"),
        ({"format": "histogram", "step": "day"}, "leave out step, or use the format 'heatmap'"),
        ({"format": "heatmap"}, "choose a step, or use the format 'histogram'"),
        ({"compare": "year"}, "compare does not go with distribution"),
        ({"format": "quantiles", "bounds": [1]}, "leave out bounds"),
    ],
)
async def test_bad_input_says_what_to_do(ceems: CeemsPlugin, more: dict[str, Any], message: str) -> None:
    assert message in await error(ceems, **more)
