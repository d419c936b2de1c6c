"""Numeric frames: alert rules distinguish rows by their text columns, so these are always present."""

from collections.abc import AsyncIterator
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio

from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

WINDOW = (1_763_700_000_000, 1_767_250_000_000)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems() -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(SYNTHETIC) as running:
        yield running


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        ({"queryType": "usage", "fields": ["total_energy_usage_kwh"]}, ["username", "project"]),
        (
            {"queryType": "usage", "groupBy": ["cluster_id"], "fields": ["num_units"]},
            ["username", "project", "cluster_id"],
        ),
        ({"queryType": "usage", "groupBy": ["project"], "exactGroupBy": True, "fields": ["num_units"]}, ["project"]),
        ({"queryType": "usage", "exactGroupBy": True, "fields": ["num_units"]}, []),
        ({"queryType": "stats", "mode": "global", "fields": ["num_units"]}, ["cluster_id"]),
    ],
)
async def test_every_row_has_labels_of_its_own(ceems: CeemsPlugin, model: dict[str, Any], labels: list[str]) -> None:
    table = await ceems.table("admin", {**model, "format": "numeric", "admin": True}, WINDOW)
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    assert texts == labels
    assert table.num_rows > 0
    rows = [tuple(row[name] for name in texts) for row in table.to_pylist()]
    assert len(set(rows)) == len(rows)
    assert b'"type":"numeric-long"' in (table.schema.metadata or {})[b"meta"].replace(b" ", b"")


async def test_other_questions_have_no_numeric_frames(ceems: CeemsPlugin) -> None:
    response = (await ceems.query("admin", {"A": {"queryType": "units", "format": "numeric"}}, WINDOW))["A"]
    assert (response.status, response.error) == (400, "format 'numeric' does not go with units: use table")
