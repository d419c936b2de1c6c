"""Panel queries grouped by values that only units have."""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio

from ceems_grpc.domain.questions.model import Classes, Source, UsageOverTimeQuestion, UsageQuestion
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.panels.query_model import question_of, read_query
from ceems_grpc.panels.report import describe
from tests.support.databases import WINTER, insert_rows, make, unit
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame

WINDOW = ((WINTER - 7_200) * 1000, (WINTER + 7_200) * 1000)
QUERY = {"queryType": "usage", "version": 2, "groupBy": ["tags.partition"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    units = [
        unit(index, username=user, tags=json.dumps({"partition": user[0]}), allocation=json.dumps({"cpus": 2**index}))
        for index, user in enumerate(["ann", "bob", "bob"])
    ]
    path = make(tmp_path_factory.mktemp("groups") / "ceems.db", units)
    with sqlite3.connect(path) as connection:
        insert_rows(connection, "projects", [{"cluster_id": "slurm-0", "name": "alpha", "users": '["ann", "bob"]'}])
        insert_rows(connection, "admin_users", [{"name": "boss"}])
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems(database: Path) -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(database) as running:
        yield running


def test_what_a_query_asks() -> None:
    classes = [{"key": "allocation.cpus", "bounds": [1, 8.5]}]
    model, kind = read_query(
        json.dumps({**QUERY, "groupBy": ["allocation.cpus"], "classes": classes, "fields": ["num_units"]}).encode()
    )
    question = question_of(model, kind, Window(0, 1))
    assert isinstance(question, UsageQuestion)
    assert question.fields == ("allocation.cpus", "num_units")
    assert question.classes == (Classes("allocation.cpus", (1.0, 8.5)),)
    assert "classes allocation.cpus 1.0 8.5" in describe(kind, question)


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ({}, Source.DAILY),
        ({"groupBy": ["project"]}, Source.DAILY),
        ({"groupBy": ["project", "tags.qos"]}, Source.UNITS),
        ({"groupBy": ["state"], "source": "daily"}, Source.DAILY),
        ({"groupBy": ["state"], "source": "prorated"}, Source.PRORATED),
    ],
)
def test_the_source_of_steps(query: dict[str, Any], source: Source) -> None:
    model, kind = read_query(json.dumps({"queryType": "usage-over-time", **query}).encode())
    question = question_of(model, kind, Window(0, 1))
    assert isinstance(question, UsageOverTimeQuestion)
    assert question.source is source


@pytest.mark.asyncio(loop_scope="module")
async def test_the_column_is_named_as_the_group(ceems: CeemsPlugin) -> None:
    table = await ceems.table("boss", {**QUERY, "fields": ["num_units"]}, WINDOW)
    assert table.to_pylist() == [{"tags.partition": "a", "num_units": 1}, {"tags.partition": "b", "num_units": 2}]
    config = json.loads((table.schema.field(0).metadata or {})[b"config"])
    assert config["description"] == "Tag of the units: partition"
    everything = await ceems.table("boss", QUERY, WINDOW)
    assert everything.column_names[:2] == ["tags.partition", "num_units"]


@pytest.mark.asyncio(loop_scope="module")
async def test_numbers_and_series_have_the_group_as_label(ceems: CeemsPlugin) -> None:
    numeric = await ceems.table(
        "boss", {**QUERY, "groupBy": ["allocation.cpus"], "format": "numeric", "fields": ["num_units"]}, WINDOW
    )
    assert [field.name for field in numeric.schema if pa.types.is_string(field.type)] == ["allocation.cpus"]
    series = await ceems.table("boss", {**QUERY, "queryType": "usage-over-time", "fields": ["num_units"]}, WINDOW)
    labels = [json.loads((field.metadata or {})[b"labels"]) for field in list(series.schema)[1:]]
    assert labels == [{"tags.partition": "a"}, {"tags.partition": "b"}]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_setting_shares_other_tags(ceems: CeemsPlugin, database: Path) -> None:
    asked = {**QUERY, "fields": ["num_units"]}
    assert (await ceems.table("ann", asked, WINDOW)).column("num_units").to_pylist() == [1, 2]
    async with ceems_plugin(database, sharedTags=[]) as private:
        response = (await private.query("ann", {"A": asked}, WINDOW))["A"]
        table = read_frame(response.frames[0])
        assert table.column("num_units").to_pylist() == [1]
        (notice,) = json.loads((table.schema.metadata or {})[b"meta"])["notices"]
        assert notice["text"].startswith("Only your own units count")
        assert (await private.table("boss", asked, WINDOW)).column("num_units").to_pylist() == [1, 2]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"groupBy": ["tags"]}, "cannot group by 'tags': use cluster_id"),
        ({"source": "daily"}, 'use the source "units" or "prorated"'),
        ({"mode": "global"}, 'use the mode "current" with the source "units" or "prorated"'),
        ({"classes": [{"key": "tags.partition", "bounds": [2, 1]}]}, "ascending order"),
        ({"classes": [{"key": "tags.qos", "bounds": [1]}]}, "groupBy"),
        ({"classes": [{"key": "tags.partition"}]}, "bounds"),
    ],
)
async def test_wrong_groups_say_what_to_do(ceems: CeemsPlugin, more: dict[str, Any], told: str) -> None:
    response = (await ceems.query("boss", {"A": {**QUERY, **more}}, WINDOW))["A"]
    assert response.status == 400
    assert told in response.error
