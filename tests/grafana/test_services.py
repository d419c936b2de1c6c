"""The services, over gRPC to a real plugin process."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
import pytest_asyncio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.plugin.process import Asker, Plugin, lines, running
from tests.support.waiting import until

SECRET = "the secret is in here"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plugin() -> AsyncIterator[Plugin]:
    async with running() as plugin:
        yield plugin


def rows(frame: bytes) -> list[Any]:
    return list(pa.ipc.open_file(frame).read_all().column(0).to_pylist())


async def metric(plugin: Plugin, sample: str) -> float:
    answer = await plugin.call("Diagnostics.CollectMetrics", pb.CollectMetricsRequest())
    found = [line for line in answer.metrics.prometheus.decode().splitlines() if line.startswith(sample + " ")]
    return float(found[0].split()[-1]) if found else 0.0


async def test_one_bad_query_never_hurts_the_others(plugin: Plugin) -> None:
    fail = {"do": "fail", "message": "no such cluster", "status": 404, "source": "downstream"}
    models: dict[str, Any] = {"A": {"do": "rows", "rows": 2}, "B": {"do": "break"}, "C": fail, "D": {"do": "group"}}
    models |= {"E": {"do": "cancelled inside"}, "F": {"do": "nothing"}, "G": {**fail, "message": ""}}
    answer = await plugin.call("Data.QueryData", Asker().queries(**models))
    assert {ref: (one.status, one.errorSource) for ref, one in answer.responses.items()} == {
        "A": (200, ""),
        "B": (500, "plugin"),
        "C": (404, "downstream"),
        "D": (403, "plugin"),
        "E": (500, "plugin"),
        "F": (200, ""),
        "G": (404, "downstream"),
    }
    assert rows(answer.responses["A"].frames[0]) == [0, 1]
    assert answer.responses["C"].error == "no such cluster"
    assert answer.responses["D"].error == "refused in a group"
    assert answer.responses["G"].error
    assert not answer.responses["F"].frames


async def test_an_unexpected_error_is_logged_under_the_id_that_the_user_is_told(plugin: Plugin) -> None:
    answer = await plugin.call("Data.QueryData", Asker().queries(X={"do": "break"}))
    error = answer.responses["X"].error
    assert SECRET not in error
    request_id = error.rstrip(".").split()[-1]
    await until(lambda: request_id.encode() in plugin.standard_error)
    line = next(line for line in plugin.log() if line.get("requestId") == request_id)
    assert (line["@level"], line["refId"], line["endpoint"], line["dsUID"]) == ("error", "X", "queryData", "uid1")
    assert SECRET in line["stacktrace"]


async def test_frames_come_as_json_when_asked(plugin: Plugin) -> None:
    answer = await plugin.call("Data.QueryData", Asker().queries(pb.JSON, A={"do": "rows", "rows": 2}))
    one = answer.responses["A"]
    assert one.format == pb.JSON
    frame = json.loads(one.frames[0])
    assert (frame["schema"]["refId"], frame["data"]["values"]) == ("A", [[0, 1]])


async def test_queries_of_one_request_run_side_by_side(plugin: Plugin) -> None:
    meet = {"do": "meet", "parties": 3}
    answer = await plugin.call("Data.QueryData", Asker(uid="meeting").queries(A=meet, B=meet, C=meet))
    assert [one.status for one in answer.responses.values()] == [200, 200, 200]


@pytest.mark.parametrize("service", ["QueryData", "QueryChunkedData"])
async def test_a_cancelled_call_stops_its_work(plugin: Plugin, tmp_path: Path, service: str) -> None:
    journal = tmp_path / "journal"
    asker = Asker(uid=service, json_data={"journal": str(journal)})
    waits: dict[str, Any] = {"A": {"do": "wait"}, "B": {"do": "wait"}}
    request = asker.queries(**waits) if service == "QueryData" else asker.chunked(**waits)
    call = plugin.start(f"Data.{service}", request)
    answered = asyncio.ensure_future(call.code())
    await until(lambda: {"A waits", "B waits"} <= set(lines(journal)))
    call.cancel()
    assert await answered == grpc.StatusCode.CANCELLED
    await until(lambda: {"A stopped", "B stopped"} <= set(lines(journal)))


async def test_a_cancelled_resource_call_stops_its_work(plugin: Plugin, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    asker = Asker(uid="resource", json_data={"journal": str(journal)})
    call = plugin.start("Resource.CallResource", asker.resource("wait"))
    await until(lambda: "resource waits" in lines(journal))
    call.cancel()
    await until(lambda: "resource stopped" in lines(journal))


async def test_pieces_in_arrow_join_to_the_frame_and_have_one_schema(plugin: Plugin) -> None:
    model = {"do": "rows", "rows": 25_000, "null_at": 21_000, "frames": 2}
    pieces = await plugin.collect("Data.QueryChunkedData", Asker().chunked(A=model))
    assert [(one.refId, one.frameId, one.status) for one in pieces] == [("A", n, 200) for n in "000111"]
    tables = [pa.ipc.open_file(one.frame).read_all() for one in pieces]
    assert len({str(table.schema) for table in tables}) == 1
    # Grafana's reader makes a Go slice of either pointers or numbers from it, and cannot join the two.
    assert {table.schema.field(0).nullable for table in tables} == {True}
    expected = [None if number == 21_000 else number for number in range(25_000)]
    assert [number for one in pieces[:3] for number in rows(one.frame)] == expected


async def test_pieces_in_json_have_the_schema_once(plugin: Plugin) -> None:
    pieces = await plugin.collect("Data.QueryChunkedData", Asker().chunked(pb.JSON, A={"do": "rows", "rows": 25_000}))
    frames = [json.loads(one.frame) for one in pieces]
    assert [sorted(frame) for frame in frames] == [["data", "schema"], ["data"], ["data"]]
    assert [number for frame in frames for number in frame["data"]["values"][0]] == list(range(25_000))


async def test_queries_without_rows_or_frames_and_bad_ones_answer_in_pieces_too(plugin: Plugin) -> None:
    models: dict[str, Any] = {"A": {"do": "rows", "rows": 0}, "B": {"do": "nothing"}, "C": {"do": "break"}}
    pieces = {one.refId: one for one in await plugin.collect("Data.QueryChunkedData", Asker().chunked(**models))}
    assert rows(pieces["A"].frame) == []
    assert pa.ipc.open_file(pieces["B"].frame).schema.names == []
    assert (pieces["C"].status, pieces["C"].errorSource, pieces["C"].frame) == (500, "plugin", b"")


async def test_a_resource_sees_the_request_and_who_asks(plugin: Plugin) -> None:
    headers = {"X-Asked": pb.StringList(values=["yes", "no"])}
    request = Asker(login="bob").resource("units", "a=1&b=%20", headers=headers, body=b"text")
    (answer,) = await plugin.collect("Resource.CallResource", request)
    seen = json.loads(answer.body)
    assert (answer.code, list(answer.headers["Content-Type"].values)) == (200, ["application/json"])
    assert (seen["path"], seen["query"], seen["user"]) == ("units", "a=1&b=%20", "bob")
    assert (seen["header"], seen["body"]) == ("yes", "text")


@pytest.mark.parametrize("login", [None, ""])
async def test_nobody_signed_in_is_no_user(plugin: Plugin, login: str | None) -> None:
    (answer,) = await plugin.collect("Resource.CallResource", Asker(login=login).resource("units"))
    assert json.loads(answer.body)["user"] is None


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 5_000_000])
async def test_a_big_body_comes_in_parts(plugin: Plugin, size: int) -> None:
    parts = await plugin.collect("Resource.CallResource", Asker().resource("big", str(size)))
    assert b"".join(part.body for part in parts) == b"x" * size
    assert max(len(part.body) for part in parts) <= 256 * 1024
    assert [part.code for part in parts] == [200] + [0] * (len(parts) - 1)


async def test_a_body_is_sent_as_it_is_made(plugin: Plugin) -> None:
    parts = await plugin.collect("Resource.CallResource", Asker().resource("pieces", "3"))
    assert [(part.code, part.body) for part in parts] == [(201, b"0,"), (0, b"1,"), (0, b"2,")]
    assert {name: list(value.values) for name, value in parts[0].headers.items()} == {
        "X-Two": ["a", "b"],
        "X-One": ["c"],
    }


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [("refused", 404, "no such unit"), ("break", 500, "unexpectedly"), ("broken at once", 500, "unexpectedly")],
)
async def test_a_failed_resource_answers_its_status(plugin: Plugin, path: str, status: int, message: str) -> None:
    (answer,) = await plugin.collect("Resource.CallResource", Asker().resource(path))
    assert answer.code == status
    assert message in json.loads(answer.body)["message"]
    assert SECRET.encode() not in answer.body


async def test_a_body_that_breaks_off_is_not_taken_for_whole(plugin: Plugin) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await plugin.collect("Resource.CallResource", Asker().resource("broken later"))
    assert raised.value.code() == grpc.StatusCode.INTERNAL
    assert SECRET not in str(raised.value.details())


async def test_health(plugin: Plugin) -> None:
    async def check(asker: Asker) -> Any:
        return await plugin.call("Diagnostics.CheckHealth", pb.CheckHealthRequest(pluginContext=asker.context()))

    good = await check(Asker(uid="health", name="cluster"))
    assert (good.status, good.message) == (pb.CheckHealthResponse.OK, "echo for cluster")
    assert json.loads(good.jsonDetails) == {"verboseMessage": "fine"}
    broken = await check(Asker(uid="broken", name="broken"))
    assert (broken.status, SECRET in broken.message) == (pb.CheckHealthResponse.ERROR, False)
    wrong = await check(Asker(uid="wrong", json_data={"wrong": "no path"}))
    assert (wrong.status, wrong.message) == (pb.CheckHealthResponse.ERROR, "the setting is wrong: no path")


async def test_wrong_settings_are_told_everywhere(plugin: Plugin) -> None:
    asker = Asker(uid="wrong", json_data={"wrong": "no path"})
    answer = await plugin.call("Data.QueryData", asker.queries(A={}, B={}))
    assert {(one.status, one.error) for one in answer.responses.values()} == {(400, "the setting is wrong: no path")}
    (resource,) = await plugin.collect("Resource.CallResource", asker.resource("units"))
    assert (resource.code, json.loads(resource.body)) == (400, {"message": "the setting is wrong: no path"})


async def test_metrics_count_requests_errors_rows_and_bytes(plugin: Plugin) -> None:
    samples = {
        'grafana_plugin_request_total{endpoint="queryData",status="ok",status_source="plugin"}': 1,
        'grafana_plugin_request_total{endpoint="queryData",status="error",status_source="downstream"}': 1,
        'grafana_plugin_error_total{endpoint="queryData",source="downstream",status="418"}': 1,
        'grafana_plugin_request_duration_seconds_count{endpoint="queryData"}': 2,
        'grafana_plugin_response_rows_total{endpoint="queryData"}': 7,
        'grafana_plugin_response_bytes_total{endpoint="callResource"}': 1000,
    }
    before = {sample: await metric(plugin, sample) for sample in samples}
    await plugin.call("Data.QueryData", Asker().queries(A={"do": "rows", "rows": 7}))
    fail = {"do": "fail", "message": "x", "status": 418, "source": "downstream"}
    await plugin.call("Data.QueryData", Asker().queries(A=fail))
    await plugin.collect("Resource.CallResource", Asker().resource("big", "1000"))
    assert {sample: await metric(plugin, sample) - before[sample] for sample in samples} == samples


@pytest.mark.parametrize(
    ("path", "status"), [("ticks", "OK"), ("missing", "NOT_FOUND"), ("private", "PERMISSION_DENIED")]
)
async def test_subscribing(plugin: Plugin, path: str, status: str) -> None:
    request = pb.SubscribeStreamRequest(pluginContext=Asker().context(), path=path)
    answer = await plugin.call("Stream.SubscribeStream", request)
    assert pb.SubscribeStreamResponse.Status.Name(answer.status) == status
    if status == "OK":
        assert json.loads(answer.data)["schema"]["name"] == "initial"


@pytest.mark.parametrize(("path", "status", "data"), [("ticks", "OK", b"{}"), ("private", "PERMISSION_DENIED", b"")])
async def test_publishing(plugin: Plugin, path: str, status: str, data: bytes) -> None:
    request = pb.PublishStreamRequest(pluginContext=Asker().context(), path=path, data=b"{}")
    answer = await plugin.call("Stream.PublishStream", request)
    assert (pb.PublishStreamResponse.Status.Name(answer.status), answer.data) == (status, data)


async def test_a_broken_subscription_ends_the_call_without_inner_details(plugin: Plugin) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await plugin.call("Stream.SubscribeStream", pb.SubscribeStreamRequest(path="break"))
    assert "request id" in str(raised.value.details())
    assert SECRET not in str(raised.value.details())


async def test_a_stream_sends_json_and_frames(plugin: Plugin) -> None:
    request = pb.RunStreamRequest(pluginContext=Asker().context(), path="ticks", data=b'{"a":1}')
    packets = [json.loads(packet.data) for packet in await plugin.collect("Stream.RunStream", request)]
    assert packets[0] == {"a": 1}
    assert [packet["data"]["values"] for packet in packets[1:]] == [[[0]], [[1]]]
    assert all("schema" in packet for packet in packets[1:])


async def test_a_broken_stream_says_why(plugin: Plugin) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="the stream broke") as raised:
        await plugin.collect("Stream.RunStream", pb.RunStreamRequest(pluginContext=Asker().context(), path="break"))
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_stream_that_is_left_ends(plugin: Plugin, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    context = Asker(uid="stream", json_data={"journal": str(journal)}).context()
    call = plugin.start("Stream.RunStream", pb.RunStreamRequest(pluginContext=context, path="endless"))
    await call.read()
    call.cancel()
    await until(lambda: "stream endless ended" in lines(journal))


async def test_a_stream_ends_when_the_plugin_stops(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with running() as plugin:
        context = Asker(json_data={"journal": str(journal)}).context()
        call = plugin.start("Stream.RunStream", pb.RunStreamRequest(pluginContext=context, path="endless"))
        await call.read()
        plugin.process.terminate()
        # gRPC reports how the stream ended only if it is read to the end: by itself or, on a busy machine, after the
        # grace period.
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        assert await call.code() in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        assert await plugin.ended() == 0
    assert lines(journal) == ["stream endless ended", "closed"]


@pytest.mark.parametrize(
    ("name", "request_message"),
    [
        ("AdmissionControl.ValidateAdmission", pb.AdmissionRequest()),
        ("AdmissionControl.MutateAdmission", pb.AdmissionRequest()),
        ("ResourceConversion.ConvertObjects", pb.ConversionRequest()),
    ],
)
async def test_what_a_data_source_has_no_use_for_is_unimplemented(
    plugin: Plugin, name: str, request_message: pb.AdmissionRequest | pb.ConversionRequest
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await plugin.call(name, request_message)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_reflection_lists_the_services(plugin: Plugin) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(plugin.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in (await call.read()).list_services_response.service}
    assert {"pluginv2.Data", "pluginv2.Resource", "plugin.GRPCController", "grpc.health.v1.Health"} <= names


async def test_a_request_of_ten_megabytes_is_taken(plugin: Plugin) -> None:
    request = Asker().resource("units", body=b"x" * 10_000_000)
    (answer, *rest) = await plugin.collect("Resource.CallResource", request)
    assert sum(len(part.body) for part in (answer, *rest)) > 10_000_000
