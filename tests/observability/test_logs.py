"""Each log line names its request, query and data source; users appear at level debug only, secrets never."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.plugin.ceems import COMMAND, CeemsPlugin
from tests.support.plugin.process import running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@asynccontextmanager
async def logging_at(level: str, path: str = "/nowhere/ceems.db") -> AsyncIterator[CeemsPlugin]:
    async with running(COMMAND, {"GF_PLUGIN_LOG_LEVEL": level}) as plugin:
        yield CeemsPlugin(plugin, {"path": path})


def query(ceems: CeemsPlugin, headers: dict[str, str] | None = None) -> pb.QueryDataRequest:
    context = ceems.asker("carol").context()
    context.dataSourceInstanceSettings.decryptedSecureJsonData["token"] = "very-secret"
    models = [pb.DataQuery(refId=ref_id, json=b'{"queryType": "units"}') for ref_id in ("A", "B")]
    return pb.QueryDataRequest(pluginContext=context, headers=headers, queries=models)


async def lines(ceems: CeemsPlugin, *, ended: bool = True) -> list[dict[str, Any]]:
    if ended:
        ceems.plugin.process.terminate()
        await ceems.plugin.ended()
    return [line for line in ceems.plugin.log() if "requestId" in line]


REQUESTS: tuple[tuple[dict[str, str], dict[str, str], str | None], ...] = (
    ({"traceparent": PARENT, "x_grafana_request_id": "other"}, {}, TRACE),
    ({"uber_trace_id": f"{TRACE}:1:0:0"}, {}, TRACE),
    ({"x_grafana_request_id": "8d1c-77"}, {}, "8d1c-77"),
    ({}, {"http_X-Grafana-Request-Id": "8d1c-78"}, "8d1c-78"),
    ({}, {"X-Grafana-Request-Id": "a b\n{}"}, None),
    ({}, {"X-Grafana-Request-Id": "x" * 500}, None),
    ({}, {}, None),
)


async def test_lines_name_their_request() -> None:
    async with logging_at("info") as ceems:
        for number, (metadata, headers, _) in enumerate(REQUESTS):
            request = query(ceems, headers)
            request.pluginContext.dataSourceInstanceSettings.uid = f"source-{number}"
            await ceems.plugin.call("Data.QueryData", request, **metadata)
        told = await lines(ceems)
    assert len({line["dsUID"] for line in told}) == len(REQUESTS)
    assert {line["endpoint"] for line in told} == {"queryData"}
    for number, (metadata, headers, wanted) in enumerate(REQUESTS):
        of_request = [line for line in told if line["dsUID"] == f"source-{number}"]
        assert {line["refId"] for line in of_request} == {"A", "B"}
        (found,) = {line["requestId"] for line in of_request}
        if wanted is None:
            assert len(found) == 16, (metadata, headers)
            int(found, 16)
        else:
            assert found == wanted


@pytest.mark.parametrize(("level", "named"), [("info", False), ("debug", True)])
async def test_users_are_named_at_debug_only_and_secrets_never(level: str, named: bool) -> None:
    async with logging_at(level) as ceems:
        await ceems.plugin.call("Data.QueryData", query(ceems))
        await ceems.resource("carol", "units", "user=dave", headers={"Authorization": "very-secret"})
        told = await lines(ceems)
    assert ("carol" in json.dumps(told)) is named
    assert all(line["@level"] in {"debug", "trace"} for line in told if "carol" in json.dumps(line))
    assert "very-secret" not in ceems.plugin.standard_error.decode()


async def test_two_requests_have_ids_of_their_own(tmp_path: Path) -> None:
    async with logging_at("debug") as ceems:
        for _ in range(2):
            await ceems.resource("carol", "units")
        told = await lines(ceems)
    assert len({line["requestId"] for line in told}) == 2
