"""A server that is killed and restarted under load: later questions are answered correctly."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import grpc
import pyarrow as pa
import pytest

from ceems_grpc.panels.live import channel_key
from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.store.remote.connection import BridgeConnection
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.errors import RemoteError
from tests.support.bridge_servers import ECHO, BridgedPlugin, Files, Server, bridged, serving
from tests.support.plugin.ceems import read_frame
from tests.support.plugin.process import Plugin, lines
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

GUARD = 60  # seconds after which a call counts as hanging
ANSWER = "/test.Test/Answer"
WINDOW = (1_763_000_000_000, 1_767_300_000_000)
MODEL = {"queryType": "units"}
# How long a server lets calls continue after it is told to stop.
_GRACE_SECONDS = 5.0
# A question waits 2.5 s for its server (`remote.connection`); reconnecting takes part of that time.
_SOON_SECONDS = 1.5


class Load:
    """Clients that query without pause; every answer is checked."""

    def __init__(self, ceems: BridgedPlugin, wanted: pa.Table) -> None:
        self._ceems = ceems
        self._wanted = wanted
        self.right = 0
        self.errors: list[str] = []
        self.wrong: list[Any] = []

    async def ask(self) -> None:
        while True:
            answer = (await self._ceems.query("user0000", {"A": MODEL}, WINDOW))["A"]
            if answer.error:
                self.errors.append(f"{answer.status} {answer.error}")
            elif read_frame(answer.frames[0]) == self._wanted:
                self.right += 1
            else:
                self.wrong.append(answer)

    async def more(self, count: int = 20) -> None:
        """Wait until a number of further questions were answered."""
        wanted = self.right + count
        await until(lambda: self.right >= wanted)


async def test_killed_and_restarted_under_load(plugin: Plugin, files: Files, database: Path) -> None:
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        server.freeze_port()
        ceems = bridged(plugin, files, server.port)
        load = Load(ceems, await ceems.table("user0000", MODEL, WINDOW))
        askers = [asyncio.create_task(load.ask()) for _ in range(4)]
        await load.more()
        for _ in range(2):
            await server.kill()
            await server.start()
            await load.more()
        # Also a server that is stopped as services are, while questions run.
        assert await server.stop() == 0
        await server.start()
        await load.more()
        for asker in askers:
            asker.cancel()
        await asyncio.gather(*askers, return_exceptions=True)
        assert load.wrong == []
        # A restart is fast enough here that no client notices.
        logged = [line for line in [*plugin.log(), *server.log] if line.get("@level") == "error"]
        statuses = {error.partition(" ")[0] for error in load.errors}
        assert statuses <= {"503"}, "\n".join([*load.errors, *map(str, logged)])


async def test_the_first_question_after_a_long_outage_is_answered(plugin: Plugin, files: Files, database: Path) -> None:
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        server.freeze_port()
        ceems = bridged(plugin, files, server.port)
        wanted = await ceems.table("user0000", MODEL, WINDOW)
        await server.kill()
        failed = (await ceems.query("user0000", {"A": MODEL}, WINDOW))["A"]
        assert (failed.status, failed.error.partition(":")[0]) == (503, "Nothing listens on localhost")
        await server.start()
        assert await ceems.table("user0000", MODEL, WINDOW) == wanted


async def test_streams_end_with_the_server_and_start_again(plugin: Plugin, files: Files, database: Path) -> None:
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        server.freeze_port()
        ceems = bridged(plugin, files, server.port)
        request = pb.RunStreamRequest(
            pluginContext=ceems.asker("user0000").context(), path=f"stats/{channel_key('user0000')}"
        )

        async def first() -> tuple[Any, Any]:
            running = aiter(plugin.start("Stream.RunStream", request))
            return json.loads((await anext(running)).data)["data"], running

        data, running = await first()
        await server.kill()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await anext(running)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        await server.start()
        again, running = await first()
        assert again == data
        # A server that is stopped ends its streams without an error, unless it is so slow that it breaks them off.
        while not await _ends_in_order(server, running):
            await server.start()
            _, running = await first()
        await server.start()
        assert (await first())[0] == data


async def _ends_in_order(server: Server, running: AsyncIterator[Any]) -> bool:
    """Stop the server; return whether the stream ended without an error, as it must if the server was fast."""
    began = time.monotonic()
    stopping = asyncio.create_task(server.stop())
    error = None
    try:
        with pytest.raises(StopAsyncIteration):
            await anext(running)
    except grpc.aio.AioRpcError as found:
        error = found
    assert await stopping == 0
    assert error is None or time.monotonic() - began > _GRACE_SECONDS, error
    return error is None


async def test_a_question_under_way_is_asked_again_when_the_server_dies(
    plugin: Plugin, files: Files, tmp_path: Path
) -> None:
    for turn in range(10):
        if await _is_asked_again(plugin, files, tmp_path / f"journal-{turn}"):
            return
    pytest.fail("the server was never back in time")


async def _is_asked_again(plugin: Plugin, files: Files, journal: Path) -> bool:
    """Kill a server during a question; return whether it was repeated, as it must be if the server is back soon."""
    async with serving(*files.tls, *files.tokens, "--database", str(journal), command=ECHO) as server:
        server.freeze_port()
        ceems = bridged(plugin, files, server.port)
        asked = asyncio.create_task(ceems.query("ann", {"A": {"do": "wait"}}, (0, 1)))
        await until(lambda: lines(journal) == ["A waits"])
        began = time.monotonic()
        await server.kill()
        await server.start()
        away = time.monotonic() - began
        await until(lambda: asked.done() or lines(journal) == ["A waits", "A waits"])
        if asked.done():
            assert away > _SOON_SECONDS, asked.result()
            return False
        asked.cancel()
        await until(lambda: "A stopped" in lines(journal))
        return True


async def test_a_call_that_is_answered_during_the_diagnosis_of_another() -> None:
    async with Answering(free_port()) as server:

        class Diagnosed(BridgeConnection):
            async def diagnose(self) -> RemoteError | None:
                """Find that nothing listens, just before the server is back and answers another client."""
                trouble = await super().diagnose()
                if not server.runs:
                    await server.start()
                    assert await self.call(ANSWER, b"second", seconds=GUARD) == b"second"
                return trouble

        connection = Diagnosed(server.endpoint)
        assert await connection.call(ANSWER, b"first", seconds=GUARD) == b"first"
        await connection.close()


async def test_a_call_that_the_server_cancels_as_it_ends_is_asked_again() -> None:
    async with Answering(free_port()) as server:
        await server.start()
        server.cancels = 1
        connection = BridgeConnection(server.endpoint)
        assert await connection.call(ANSWER, b"first", seconds=GUARD) == b"first"
        assert server.cancels == 0
        await connection.close()


class Answering:
    """A server on a port that is stopped at first; it cancels the first ``cancels`` calls and answers the rest."""

    def __init__(self, port: int) -> None:
        self.endpoint = Endpoint(f"127.0.0.1:{port}", plain_text=True)
        self.cancels = 0
        self._server: grpc.aio.Server | None = None

    @property
    def runs(self) -> bool:
        return self._server is not None

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        answer: Any = grpc.unary_unary_rpc_method_handler(self._answer)
        handler = grpc.method_handlers_generic_handler("test.Test", {"Answer": answer})
        self._server.add_generic_rpc_handlers([handler])
        self._server.add_insecure_port(self.endpoint.address)
        await self._server.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.stop(0)

    async def _answer(self, request: bytes, rpc: Any) -> bytes:
        if self.cancels:
            self.cancels -= 1
            await rpc.abort(grpc.StatusCode.CANCELLED)
        return request
