"""Answers through a bridge equal those of the plugin itself: two real processes on one database."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ceems_grpc.panels.live import channel_key
from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.version import VERSION
from tests.golden import test_api_recordings as api
from tests.golden import test_frame_recordings as frames
from tests.support.bridge_servers import BridgedPlugin, Files, Server, bridged, serving
from tests.support.plugin.ceems import COMMAND, CeemsPlugin, read_frame
from tests.support.plugin.process import Plugin, running
from tests.support.recordings import ALL, gathered

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOW = (1_763_000_000_000, 1_767_300_000_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(files: Files, database: Path) -> AsyncIterator[Server]:
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        yield server


@pytest.fixture
def ceems(plugin: Plugin, files: Files, server: Server) -> BridgedPlugin:
    return bridged(plugin, files, server.port)


@pytest.fixture
def local(plugin: Plugin, database: Path) -> CeemsPlugin:
    return CeemsPlugin(plugin, {"path": str(database)})


async def test_every_recorded_answer_of_the_api(ceems: BridgedPlugin) -> None:
    cases = [case for recordings in ALL[:2] for case in recordings.cases]
    assert len(cases) >= 80
    assert await gathered([api.difference(ceems, case) for case in cases]) == []


async def test_every_recorded_answer_as_a_frame(ceems: BridgedPlugin, local: CeemsPlugin) -> None:
    cases = [case for case in ALL[0].cases if frames.as_query(case) is not None]
    assert len(cases) >= 35
    through = await gathered([frames.difference(ceems, case) for case in cases])
    assert through == await gathered([frames.difference(local, case) for case in cases])
    assert len(through) <= 1  # panels have another message than the API for a question without a user


@pytest.mark.parametrize("form", [pb.ARROW, pb.JSON])
async def test_chunks_are_those_of_the_plugin_itself(
    ceems: BridgedPlugin, local: CeemsPlugin, form: pb.DataFrameFormat
) -> None:
    models = {"A": {"queryType": "units"}, "B": {"queryType": "nonsense"}}

    async def chunks(asked: CeemsPlugin) -> list[pb.QueryChunkedDataResponse]:
        request = asked.asker("user0000", "Admin").chunked(form, **models)
        got = await asked.plugin.collect("Data.QueryChunkedData", request)
        return sorted(got, key=lambda chunk: str(chunk.refId))

    def content(chunks: list[pb.QueryChunkedDataResponse]) -> list[Any]:
        # The schema holds how long the query took.
        read = read_frame if form == pb.ARROW else lambda frame: json.loads(frame)["data"]
        return [(one.refId, one.frameId, one.status, one.error, one.frame and read(one.frame)) for one in chunks]

    got = await chunks(ceems)
    assert content(got) == content(await chunks(local))
    assert [(chunk.refId, chunk.status) for chunk in got] == [("A", 200), ("B", 400)]
    assert b"units" in got[0].frame


async def test_health_says_what_the_server_says_and_who_said_it(ceems: BridgedPlugin, server: Server) -> None:
    request = pb.CheckHealthRequest(pluginContext=ceems.asker("root", "Admin").context())
    health = await ceems.plugin.call("Diagnostics.CheckHealth", request)
    assert health.status == pb.CheckHealthResponse.OK
    assert "600 units on 4 clusters" in health.message
    assert health.message.endswith(f" Answered by localhost:{server.port}, version {VERSION}.")
    details = json.loads(health.jsonDetails)
    assert details["units"] == 600
    assert abs(details["bridge"].pop("clockAheadSeconds")) < 5
    assert details["bridge"] == {
        "address": f"localhost:{server.port}",
        "serverVersion": VERSION,
        "pluginVersion": VERSION,
    }


async def test_channels_of_live_come_through(ceems: BridgedPlugin) -> None:
    mine, others = (f"stats/{channel_key(login)}" for login in ("user0000", "user0001"))
    asker = ceems.asker("user0000").context()

    async def subscribe(path: str) -> Any:
        return await ceems.plugin.call(
            "Stream.SubscribeStream", pb.SubscribeStreamRequest(pluginContext=asker, path=path)
        )

    allowed = await subscribe(mine)
    assert allowed.status == pb.SubscribeStreamResponse.OK
    assert json.loads(allowed.data)["schema"]
    assert (await subscribe(others)).status == pb.SubscribeStreamResponse.PERMISSION_DENIED
    assert (await subscribe("nothing")).status == pb.SubscribeStreamResponse.NOT_FOUND
    published = await ceems.plugin.call("Stream.PublishStream", pb.PublishStreamRequest(pluginContext=asker, path=mine))
    assert published.status == pb.PublishStreamResponse.PERMISSION_DENIED
    running = ceems.plugin.start("Stream.RunStream", pb.RunStreamRequest(pluginContext=asker, path=mine))
    first = await anext(aiter(running))
    assert json.loads(first.data)["data"] == json.loads(allowed.data)["data"]
    running.cancel()


async def test_metrics_are_those_of_both_processes_told_apart(ceems: BridgedPlugin, server: Server) -> None:
    await ceems.query("user0000", {"A": {"queryType": "units"}}, WINDOW)
    answer = await ceems.plugin.call("Diagnostics.CollectMetrics", pb.CollectMetricsRequest())
    lines = answer.metrics.prometheus.decode().splitlines()
    requests = [line for line in lines if line.startswith("grafana_plugin_request_total") and '"queryData"' in line]
    assert [f'server="localhost:{server.port}"' in line for line in requests].count(True) >= 1
    assert [f'server="localhost:{server.port}"' in line for line in requests].count(False) >= 1
    # Prometheus refuses a metric that is described twice, or a sample that occurs twice.
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(described) == len(set(described))
    samples = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(samples) == len(set(samples))


async def test_settings_of_grafana_count_but_not_where_rows_come_from(
    plugin: Plugin, files: Files, server: Server, tmp_path: Path
) -> None:
    elsewhere: dict[str, Any] = {"timezone": "Asia/Tokyo", "mirror": {"mode": "auto", "folder": str(tmp_path)}}
    ceems = bridged(plugin, files, server.port, **elsewhere, adminRole="Editor", serviceUser="user0001", rowLimit=3)
    admin = {"queryType": "units", "admin": True}
    refused = (await ceems.query("user0000", {"A": admin}, WINDOW, role="Viewer"))["A"]
    assert refused.status == 403
    assert (await ceems.table("user0000", admin, WINDOW, role="Editor")).num_rows == 3
    nobody, named = await asyncio.gather(
        ceems.query(None, {"A": {"queryType": "units"}}, WINDOW),
        ceems.query("user0001", {"A": {"queryType": "units"}}, WINDOW),
    )
    rows = read_frame(nobody["A"].frames[0])
    assert rows.num_rows == 3
    assert rows == read_frame(named["A"].frames[0])
    health = await plugin.call(
        "Diagnostics.CheckHealth", pb.CheckHealthRequest(pluginContext=ceems.asker("x", "Admin").context())
    )
    assert "Europe/Paris" in health.message
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - ruff wants no pathlib in async code


async def test_the_server_can_narrow_what_grafana_says(plugin: Plugin, files: Files, database: Path) -> None:
    narrow = ["--ignore-admin-role", "--ignore-service-user", "--row-limit", "2", "--max-query-window", "30d"]
    async with serving(*files.tls, *files.tokens, "--database", str(database), *narrow) as server:
        wide: dict[str, Any] = {
            "adminRole": "Viewer",
            "serviceUser": "user0000",
            "rowLimit": 500,
            "maxQueryWindow": "10y",
        }
        ceems = bridged(plugin, files, server.port, **wide)
        units = {"queryType": "units"}
        month = (WINDOW[1] - 20 * 86_400_000, WINDOW[1])
        assert (await ceems.query("user0000", {"A": {**units, "admin": True}}, month))["A"].status == 403
        assert (await ceems.query(None, {"A": units}, month))["A"].status == 401
        too_long = (await ceems.query("user0000", {"A": units}, WINDOW))["A"]
        assert too_long.status == 400
        assert "window" in too_long.error
        assert (await ceems.table("user0000", units, month)).num_rows == 2


async def test_data_sources_of_two_grafanas_with_the_same_uid_are_kept_apart(
    plugin: Plugin, files: Files, server: Server
) -> None:
    strict = bridged(plugin, files, server.port)
    generous = bridged(plugin, files, server.port, adminRole="Viewer")
    question = {"A": {"queryType": "units", "admin": True}}
    for _ in range(2):
        # From both, the server receives the same organization, uid and time of the settings.
        generous.uid = strict.uid = "ceems"
        async with running(COMMAND) as other:
            generous.plugin = other
            answers = await asyncio.gather(
                strict.query("user0000", question, WINDOW), generous.query("user0000", question, WINDOW)
            )
        assert [answer["A"].status for answer in answers] == [403, 200]
