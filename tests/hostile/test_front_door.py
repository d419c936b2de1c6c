"""What anybody on the network may send to a server: bytes that are not calls, calls without rights, forged contexts."""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.pb import bridge_pb2, pluginv2_pb2, store_pb2
from ceems_grpc.store.remote.protocol import PROTOCOL, PROTOCOL_KEY, TOKEN_KEY, TOKEN_PREFIX
from tests.hostile.wellness import MEBIBYTE, MILLISECONDS, check_words, names_in, peak_memory
from tests.support.bridge_servers import Files, Server, serving
from tests.support.databases import NOON
from tests.support.plugin.process import Asker, alive

pytestmark = pytest.mark.asyncio(loop_scope="module")

METHODS = {
    f"/{service.full_name}/{method.name}": method.server_streaming
    for file in (pluginv2_pb2.DESCRIPTOR, bridge_pb2.DESCRIPTOR, store_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
} | {
    "/grpc.health.v1.Health/Check": False,
    "/grpc.health.v1.Health/Watch": True,
    "/nothing.at.All/X": False,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": True,
}
_SERVED = [
    f"/{service.full_name}/{method.name}"
    for file, names in (
        (pluginv2_pb2, ("Data", "Resource", "Stream", "Diagnostics")),
        (bridge_pb2, ("Bridge",)),
        (store_pb2, ("Store",)),
    )
    for service in map(file.DESCRIPTOR.services_by_name.__getitem__, names)
    for method in service.methods
]
_VERSION = (PROTOCOL_KEY, str(PROTOCOL))


class Door:
    """A server, and the ways to reach it."""

    def __init__(self, server: Server, files: Files, *, tls: bool) -> None:
        self.server = server
        self.files = files
        self.tls = tls

    @property
    def right(self) -> tuple[tuple[str, str], ...]:
        return ((TOKEN_KEY, TOKEN_PREFIX + self.files.token), _VERSION)

    def channel(self) -> grpc.aio.Channel:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_metadata_size", 64 * MEBIBYTE)]
        if not self.tls:
            return grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}", options)
        credentials = grpc.ssl_channel_credentials(self.files.authority.certificate.encode())
        return grpc.aio.secure_channel(f"localhost:{self.server.port}", credentials, options)

    async def throw(self, data: bytes, *, through_tls: bool = False) -> bytes:
        """Send bytes over a connection; return the reply until the server closes it, or for half a second."""
        context = None
        if through_tls:
            context = ssl.create_default_context(cadata=self.files.authority.certificate)
            context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.server.port, ssl=context, server_hostname="localhost" if through_tls else None
        )
        try:
            writer.write(data)
            await writer.drain()
            async with asyncio.timeout(0.5):
                return await reader.read(100_000)
        except (TimeoutError, ConnectionError):
            return b""
        finally:
            writer.close()

    async def rows_of(self, login: str, **settings: Any) -> list[Any]:
        """Ask for a user's units, as a plugin with the token does."""
        asker = Asker(login=login, json_data=settings)
        request = asker.resource("units", f"from={NOON - 3600}&to={NOON + 3600}")
        async with self.channel() as channel:
            call: Any = channel.unary_stream("/pluginv2.Resource/CallResource")
            answer = call(request.SerializeToString(), metadata=self.right, timeout=20)
            parts = [pluginv2_pb2.CallResourceResponse.FromString(part) async for part in answer]
        assert parts[0].code == 200, parts[0].body
        return [row["uuid"] for row in json.loads(b"".join(part.body for part in parts))["data"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["TLS", "plain text"])
async def door(
    request: pytest.FixtureRequest, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    files = Files(tmp_path_factory.mktemp("server"))
    tls = request.param == "TLS"
    how = files.tls if tls else ["--plain-text"]
    async with serving(*how, *files.tokens, "--database", str(database)) as server:
        door = Door(server, files, tls=tls)
        assert await door.rows_of("ann") == ["unit-ann"]
        before = peak_memory(server.process.pid)
        yield door
        assert alive(server.process.pid)
        assert await door.rows_of("ann") == ["unit-ann"]
        assert peak_memory(server.process.pid) - before < 300 * MEBIBYTE
        log = json.dumps(server.log)
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]
        assert files.token not in log
        assert not [line for line in server.log if "@timestamp" not in line]  # there are no lines from anybody else


_FORGED = b'\n{"@level":"error","@message":"forged"}\n' * 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
RUBBISH = {
    "nothing": b"",
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS hello that lies": b"\x16\x03\x01\xff\xff\x01\xff\xff\xff" + b"\0" * 1000,
    "zeros": b"\0" * 1_000_000,
    "a preface alone": _PREFACE,
    "a frame that lies about its length": _PREFACE + b"\xff\xff\xff\x01\x05\0\0\0\x01" + b"x" * 100,
    "settings without end": _PREFACE + (b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff") * 5_000,
    "pings without end": _PREFACE + b"\0\0\0\x04\0\0\0\0\0" + (b"\0\0\x08\x06\0\0\0\0\0" + b"pingpong") * 5_000,
    "streams that are reset": _PREFACE
    + b"\0\0\0\x04\0\0\0\0\0"
    + b"".join(
        b"\0\0\x01\x01\x04"
        + number.to_bytes(4, "big")
        + b"\x82"
        + b"\0\0\x04\x03\0"
        + number.to_bytes(4, "big")
        + b"\0\0\0\x08"
        for number in range(1, 4_001, 2)
    ),
    "headers that are never ended": _PREFACE
    + b"\0\0\0\x04\0\0\0\0\0"
    + b"\0\0\x01\x01\x00\0\0\0\x01\x82"
    + (b"\0\x10\0\x09\0\0\0\0\x01" + b"\x40\x01a\x7f\x81\x1f" + b"b" * 4090) * 500,
    "lines of a log": _FORGED,
    "lines of a log for the log": _PREFACE
    + b"\0\0\0\x04\0\0\0\0\0"
    + (len(_FORGED) + 8).to_bytes(3)
    + b"\x07\0\0\0\0\0"
    + b"\0" * 8
    + _FORGED,
    "a table bomb": _PREFACE
    + b"\0\0\0\x04\0\0\0\0\0"
    + b"\0\x40\0\x01\x04\0\0\0\x01"
    + b"\x40\x01a\x7f\x80\x1f"
    + b"c" * 4000
    + b"\xbe" * (0x4000 - 4006),
}


@pytest.mark.parametrize("name", RUBBISH)
async def test_bytes_that_are_no_calls(door: Door, name: str) -> None:
    assert b"unit" not in await door.throw(RUBBISH[name])
    if door.tls:
        assert b"unit" not in await door.throw(RUBBISH[name], through_tls=True)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
async def test_frames_of_any_kind(door: Door, chance: random.Random) -> None:
    frames = b"".join(
        len(body := chance.randbytes(chance.randrange(40))).to_bytes(3, "big")
        + chance.randbytes(2)
        + chance.randrange(8).to_bytes(4, "big")
        + body
        for _ in range(20)
    )
    await door.throw(_PREFACE + b"\0\0\0\x04\0\0\0\0\0" + frames, through_tls=door.tls)


async def test_connections_that_say_nothing_keep_nobody_out(door: Door) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", door.server.port) for _ in range(200)]
    assert await door.rows_of("ann") == ["unit-ann"]
    for _, writer in opened:
        writer.close()


async def refused(channel: grpc.aio.Channel, path: str, data: bytes, metadata: Any) -> tuple[grpc.StatusCode, str]:
    make: Any = channel.unary_stream if METHODS.get(path, True) else channel.unary_unary
    call = make(path)(data, metadata=metadata, timeout=10)
    try:
        if METHODS.get(path, True):
            async for _ in call:
                call.cancel()
                return grpc.StatusCode.OK, ""
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def test_nobody_is_let_in_without_the_token(door: Door) -> None:
    token = door.files.token
    wrong: tuple[tuple[tuple[str, Any], ...], ...] = (
        (),
        (_VERSION,),
        (*((TOKEN_KEY, TOKEN_PREFIX + "x" * 64),), _VERSION),
        ((TOKEN_KEY, token), _VERSION),
        ((TOKEN_KEY, TOKEN_PREFIX), _VERSION),
        ((TOKEN_KEY, TOKEN_PREFIX + token[:-1]), _VERSION),
        ((TOKEN_KEY, TOKEN_PREFIX + token.upper()), _VERSION),
        ((TOKEN_KEY, TOKEN_PREFIX + token + "x"), _VERSION),
        ((TOKEN_KEY, f"Basic {token}"), _VERSION),
        (("x-token", token), _VERSION),
        (("cookie", f"token={token}"), _VERSION),
        ((TOKEN_KEY, TOKEN_PREFIX + token), (TOKEN_KEY, TOKEN_PREFIX + "y" * 64), _VERSION),
        ((TOKEN_KEY, TOKEN_PREFIX + "#" + token), _VERSION),
        ((TOKEN_KEY + "-bin", token.encode()), _VERSION),
    )
    async with door.channel() as channel:
        for metadata in wrong:
            paths = METHODS if len(metadata) < 2 else ("/pluginv2.Data/QueryData", "/ceems.v1.Store/Read")
            for path in paths:
                code, details = await refused(channel, path, b"", metadata)
                assert code is grpc.StatusCode.UNAUTHENTICATED, (path, metadata, code, details)
                check_words(details)
                assert token[:8] not in details


async def test_metadata_without_measure(door: Door) -> None:
    async with door.channel() as channel:
        for metadata in (
            (*door.right, ("x-long", "a" * 1_000_000)),
            (*door.right, *((f"x-{number}", "a" * 100) for number in range(2_000))),
            ((TOKEN_KEY, TOKEN_PREFIX + "a" * 1_000_000), _VERSION),
        ):
            code, details = await refused(channel, "/ceems.v1.Bridge/Hello", b"", metadata)
            assert code in {
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.INTERNAL,
            }, (code, details)
    assert await door.rows_of("ann") == ["unit-ann"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(_SERVED), data=st.binary(min_size=1, max_size=200))
async def test_random_requests_of_somebody_with_the_token(door: Door, path: str, data: bytes) -> None:
    async with door.channel() as channel:
        code, details = await refused(channel, path, data, door.right)
    assert "<class" not in details, details
    if details:
        check_words(details)
    assert code is not grpc.StatusCode.UNAVAILABLE
    assert "the token" not in details  # random bytes that happen to be a request have no user


async def test_a_context_cannot_name_another_database(door: Door, tmp_path: Path) -> None:
    for settings_given in (
        {"path": "/etc/passwd"},
        {"path": str(tmp_path)},
        {"address": "127.0.0.1:1"},
        {"postgres": "postgresql://x@127.0.0.1/x"},
        {"sources": [{"name": "a", "path": "/etc/passwd"}]},
        {"mirror": {"mode": "memory", "folder": str(tmp_path)}},
        {"timezone": "Asia/Kolkata", "plainText": True, "postgresSchema": "x", "sourceTimeout": "1s"},
    ):
        assert await door.rows_of("ann", **settings_given) == ["unit-ann"], settings_given
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "json_text", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b'{"adminRole":7}', b'{"rowLimit":1' + b"0" * 400 + b"}"]
)
async def test_settings_in_a_context_that_are_none(door: Door, json_text: bytes) -> None:
    request = Asker(login="ann").queries(A={"queryType": "units"})
    request.pluginContext.dataSourceInstanceSettings.jsonData = json_text
    request.queries[0].timeRange.CopyFrom(
        pluginv2_pb2.TimeRange(fromEpochMS=MILLISECONDS[0], toEpochMS=MILLISECONDS[1])
    )
    async with door.channel() as channel:
        call: Any = channel.unary_unary("/pluginv2.Data/QueryData")
        answer = pluginv2_pb2.QueryDataResponse.FromString(
            await call(request.SerializeToString(), metadata=door.right, timeout=10)
        )
    response = answer.responses["A"]
    assert response.status in {200, 400}, response.error
    if response.error:
        check_words(response.error)


async def test_messages_that_grow_when_they_are_unpacked(door: Door) -> None:
    bomb = b"\0" * (128 * MEBIBYTE)
    before = peak_memory(door.server.process.pid)
    async with door.channel() as channel:
        call: Any = channel.unary_unary("/pluginv2.Data/QueryData")
        for metadata in ((_VERSION,), door.right):
            with pytest.raises(grpc.aio.AioRpcError):
                await call(bomb, metadata=metadata, timeout=20, compression=grpc.Compression.Gzip)
    assert peak_memory(door.server.process.pid) - before < 150 * MEBIBYTE
    assert await door.rows_of("ann") == ["unit-ann"]
