"""Requests to every method: random bytes, and real requests with some bytes changed."""

import random
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.pb import go_plugin_pb2
from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.hostile.wellness import MEBIBYTE, MILLISECONDS, check_words, peak_memory
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SECONDS = 1.0  # seconds for which an endless call is read
# Methods that end a process or a stream by design are left out.
_ENDS = {"Shutdown"}
METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}.{method.name}": method
    for file in (pb.DESCRIPTOR, go_plugin_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
    if method.name not in _ENDS and not method.client_streaming
}
_EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNKNOWN,
}


async def send(
    channel: grpc.aio.Channel, method: MethodDescriptor, data: bytes
) -> tuple[grpc.StatusCode, str, list[bytes]]:
    """Send bytes unchanged; return the status, its text, and the answers."""
    make: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = make(f"/{method.containing_service.full_name}/{method.name}")(data, timeout=_SECONDS)
    answers: list[bytes] = []
    try:
        if method.server_streaming:
            async for answer in call:
                answers.append(answer)
                if len(answers) == 3:
                    call.cancel()
                    break
        else:
            answers.append(await call)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or "", answers
    return grpc.StatusCode.OK, "", answers


def real_requests(ceems: Source) -> dict[str, Message]:
    """Return a valid request to each method, about a separate data source. A changed byte may make its settings newer
    and change its path, so it must not be the source that the test checks.
    """
    context = replace(ceems.asker("eve"), uid="changed").context()
    query = pb.DataQuery(
        refId="A",
        json=b'{"queryType":"units"}',
        maxDataPoints=100,
        intervalMS=1000,
        timeRange=pb.TimeRange(fromEpochMS=MILLISECONDS[0], toEpochMS=MILLISECONDS[1]),
    )
    found: dict[str, Message] = {
        "QueryData": pb.QueryDataRequest(pluginContext=context, queries=[query], headers={"a": "b"}),
        "QueryChunkedData": pb.QueryChunkedDataRequest(pluginContext=context, queries=[query]),
        "CallResource": pb.CallResourceRequest(
            pluginContext=context,
            path="units",
            method="GET",
            url="units?project=alpha",
            body=b"x",
            headers={"a": pb.StringList(values=["b"])},
        ),
        "SubscribeStream": pb.SubscribeStreamRequest(pluginContext=context, path="stats", data=b"{}"),
        "PublishStream": pb.PublishStreamRequest(pluginContext=context, path="stats", data=b"{}"),
        "RunStream": pb.RunStreamRequest(pluginContext=context, path="stats", data=b"{}"),
        "CheckHealth": pb.CheckHealthRequest(pluginContext=context),
        "CollectMetrics": pb.CollectMetricsRequest(pluginContext=context),
    }
    return {
        name: found[method.name] if method.name in found else GetMessageClass(method.input_type)()
        for name, method in METHODS.items()
    }


def check(method: MethodDescriptor, code: grpc.StatusCode, details: str, answers: list[bytes]) -> None:
    assert code in _EXPECTED, (method.full_name, code, details)
    if details:
        check_words(details)
    for answer in answers:
        message = GetMessageClass(method.output_type).FromString(answer)
        errors = [response.error for response in getattr(message, "responses", {}).values()]
        for text in (*errors, getattr(message, "error", "")):
            assert "unexpectedly" not in text, (method.full_name, text)
        if method.name == "CallResource":
            assert b"unexpectedly" not in message.body  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
async def test_random_bytes(plugin: Plugin, ceems: Source, name: str, data: bytes) -> None:
    del ceems  # checks the process when the module ends
    check(METHODS[name], *await send(plugin.channel, METHODS[name], data))


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
async def test_requests_with_changed_bytes(plugin: Plugin, ceems: Source, name: str, chance: random.Random) -> None:
    method = METHODS[name]
    data = bytearray(real_requests(ceems)[name].SerializeToString())
    for _ in range(chance.randint(1, 6) if data else 0):
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                data[place] ^= 1 << chance.randrange(8)
            case 2:
                data[place:place] = chance.randbytes(chance.randint(1, 9))
            case 3:
                del data[place : place + chance.randint(1, 9)]
        data = data or bytearray(b"\0")
    check(method, *await send(plugin.channel, method, bytes(data)))


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*written, number))


@pytest.mark.parametrize("name", METHODS)
async def test_lengths_that_lie_and_groups_without_end(plugin: Plugin, ceems: Source, name: str) -> None:
    del ceems
    for data in (
        b"\x0a" + _varint(2**31 - 1),
        b"\x0a" + _varint(2**63),
        b"\x0a" + b"\xff" * 10,
        b"\x0b" * 10_000,
        b"\x0a\x04\x0a\x02\x0a\x00" * 1_000,
        b"".join(_varint(number << 3) + b"\x01" for number in range(1, 20_000)),
    ):
        check(METHODS[name], *await send(plugin.channel, METHODS[name], data))


@pytest.mark.parametrize(
    "name",
    [
        "Data.QueryData",
        "Data.QueryChunkedData",
        "Resource.CallResource",
        "Stream.SubscribeStream",
        "Stream.RunStream",
        "Diagnostics.CheckHealth",
    ],
)
async def test_requests_with_parts_missing(plugin: Plugin, ceems: Source, name: str) -> None:
    method, request = METHODS[name], real_requests(ceems)[name]
    for path in (
        "pluginContext",
        "queries",
        "path",
        "url",
        "method",
        "data",
        "headers",
        "pluginContext.user",
        "pluginContext.dataSourceInstanceSettings",
        "pluginContext.dataSourceInstanceSettings.jsonData",
        "pluginContext.dataSourceInstanceSettings.uid",
        "pluginContext.orgId",
    ):
        cut = type(request)()
        cut.CopyFrom(request)
        *outer, last = path.split(".")
        inner: Any = cut
        for part in outer:
            inner = getattr(inner, part)
        if last in inner.DESCRIPTOR.fields_by_name:
            inner.ClearField(last)
            check(method, *await send(plugin.channel, method, cut.SerializeToString()))


async def test_methods_that_do_not_exist(plugin: Plugin, ceems: Source) -> None:
    del ceems
    for name in ("/pluginv2.Data/Nothing", "/pluginv2.AdmissionControl/ValidateAdmission", "/", "//", "/a/b/c"):
        call: Any = plugin.channel.unary_unary(name)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", timeout=_SECONDS)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED, name
        check_words(refused.value.details() or "", name)


async def test_channels_of_odd_names(plugin: Plugin, ceems: Source) -> None:
    for path in (
        "",
        "/",
        "units",
        "units/running/",
        "stats//",
        "stats/../units",
        "stats/\0",
        "stats/" + "a" * 1_000_000,
        "x" * 1_000_000,
        "stats/'",
        "units/running/%00",
        "\u202e",
    ):
        refused = (pb.SubscribeStreamResponse.PERMISSION_DENIED, pb.SubscribeStreamResponse.NOT_FOUND)
        for login in (None, "eve"):
            request = pb.SubscribeStreamRequest(pluginContext=ceems.asker(login).context(), path=path)
            answer = await plugin.call("Stream.SubscribeStream", request)
            own = login == "eve" and path in {"units/running/", "stats//"}  # a channel without a key, and her own rows
            assert answer.status in refused or own, (path[:50], login)
            assert b"unit-" not in answer.data


async def test_messages_that_grow_when_they_are_unpacked(plugin: Plugin, ceems: Source) -> None:
    del ceems
    bomb = b"\0" * (128 * MEBIBYTE)
    before = peak_memory(plugin.process.pid)
    call: Any = plugin.channel.unary_unary("/pluginv2.Data/QueryData")
    for form in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(bomb, timeout=20, compression=form)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert peak_memory(plugin.process.pid) - before < 150 * MEBIBYTE
