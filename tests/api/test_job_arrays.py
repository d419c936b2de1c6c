"""Elements of LSF's job arrays, whose uuids have brackets: found by REST parameters, panels, filters and drop-downs."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
import pytest_asyncio

from tests.support.databases import PARIS, WINTER, insert_rows, make, unit
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

UUID = "1234[5]"
NEIGHBOURS = ("12345", "1234[50]", "1234", "12344")  # what patterns and parsers could mistake it for
LSF: dict[str, Any] = {
    "cluster_id": "lsf-0",
    "resource_manager": "lsf",
    "state": "DONE",
    "tags": json.dumps({"queue": "normal"}),
}
WINDOW = (0, WINTER * 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CeemsPlugin]:
    rows = [unit(index, uuid=uuid, **LSF) for index, uuid in enumerate((UUID, *NEIGHBOURS))]
    path = make(tmp_path_factory.mktemp("lsf") / "ceems.db", rows)
    member = {"cluster_id": "lsf-0", "resource_manager": "lsf", "tags": "[]"}
    with closing(sqlite3.connect(path)) as connection, connection:
        insert_rows(connection, "users", [{**member, "name": "ann", "projects": '["alpha"]'}])
        insert_rows(connection, "projects", [{**member, "name": "alpha", "users": '["ann"]'}])
    async with ceems_plugin(path, timezone=str(PARIS), adminRole="Viewer") as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("parameter", ["uuid=1234%5B5%5D", "uuid=1234[5]", "uuid=1234%5B5%5D&uuid=none"])
async def test_a_rest_parameter_finds_the_element(ceems: CeemsPlugin, parameter: str) -> None:
    answer = await ceems.resource("ann", "units", parameter)
    assert answer.status == 200
    assert [row["uuid"] for row in answer.json["data"]] == [UUID]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("login", "status"), [("ann", 200), ("bob", 403)])
async def test_the_element_is_verified_for_its_user(ceems: CeemsPlugin, login: str, status: int) -> None:
    for uuid in ("1234%5B5%5D", "12345"):
        assert (await ceems.resource(login, "units/verify", f"uuid={uuid}&cluster_id=lsf-0")).status == status


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "chosen",
    [
        {"uuids": [UUID]},
        {"filters": [{"key": "uuid", "operator": "=", "value": UUID}]},
        {"filters": [{"key": "uuid", "operator": "=|", "value": [UUID, "none"]}]},
        {"filters": [{"key": "uuid", "operator": "!=|", "value": list(NEIGHBOURS)}]},
    ],
)
async def test_a_panel_finds_the_element(ceems: CeemsPlugin, chosen: dict[str, Any]) -> None:
    model = {"queryType": "units", "admin": True, "fields": ["uuid", "state", "tags.queue"], **chosen}
    rows = (await ceems.table("root", model, WINDOW)).to_pylist()
    assert rows == [{"uuid": UUID, "state": "DONE", "tags.queue": "normal"}]


@pytest.mark.asyncio(loop_scope="module")
async def test_drop_downs_offer_the_element_and_its_queue(ceems: CeemsPlugin) -> None:
    found = (await ceems.resource("ann", "suggest/uuids", "prefix=1234%5B5")).json["data"]
    assert {item["value"] for item in found} == {UUID, "1234[50]"}
    queues = (await ceems.resource("ann", "suggest/tag-values", "column=tags.queue")).json["data"]
    assert [item["value"] for item in queues] == ["normal"]
