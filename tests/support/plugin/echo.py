"""A complete plugin that needs nothing but the plugin layer: it answers with the request that it received."""

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pyarrow as pa

from ceems_grpc.grafana import Field, Frame
from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.datasource import DataSource
from ceems_grpc.grafana.backend.diagnostics import HealthResult, HealthStatus
from ceems_grpc.grafana.backend.errors import ErrorSource, PluginError
from ceems_grpc.grafana.backend.query import DataQuery
from ceems_grpc.grafana.backend.resource import ResourceRequest, ResourceResponse
from ceems_grpc.grafana.backend.stream import (
    PublishResult,
    PublishStatus,
    StreamRequest,
    SubscribeResult,
    SubscribeStatus,
)
from ceems_grpc.grafana.serve.process import serve_plugin

_log = logging.getLogger("echo")


class Echo:
    """Does what the JSON of a query or request says. It records cancelled work and closing in the file `journal`."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._journal = Path(settings["journal"]) if "journal" in settings else None

    async def query(self, context: PluginContext, query: DataQuery) -> Sequence[Frame]:
        model = json.loads(query.json)
        match model.get("do"):
            case "rows":
                numbers: list[int | None] = list(range(model["rows"]))
                if model.get("null_at") is not None:
                    numbers[model["null_at"]] = None
                return [Frame("rows", [Field("n", pa.array(numbers, pa.int64()))])] * model.get("frames", 1)
            case "nothing":
                return []
            case "fail":
                raise PluginError(model["message"], status=model["status"], source=ErrorSource(model["source"]))
            case "break":
                raise ZeroDivisionError("the secret is in here")
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._refuse())
            case "cancelled inside":
                raise asyncio.CancelledError
            case "wait":
                await self._wait(query.ref_id)
            case "block":
                self._note("blocked")
                await asyncio.to_thread(threading.Event().wait)
            case "print":
                print("printed by Python")  # noqa: T201 what is tested
                os.write(1, b"printed by a C library\n")
            case "meet":
                await self._meet(model["parties"])
        return [Frame("echo", [Field("user", pa.array([context.user.login if context.user else None], pa.string()))])]

    async def call_resource(self, context: PluginContext, request: ResourceRequest) -> ResourceResponse:
        match request.path:
            case "big":
                return ResourceResponse(body=b"x" * int(request.query))
            case "pieces":
                return ResourceResponse(201, {"X-Two": ("a", "b"), "X-One": "c"}, self._pieces(int(request.query)))
            case "broken at once":
                return ResourceResponse(body=self._broken(0))
            case "broken later":
                return ResourceResponse(body=self._broken(1))
            case "refused":
                raise PluginError("no such unit", status=404, source=ErrorSource.DOWNSTREAM)
            case "break":
                raise ZeroDivisionError("the secret is in here")
            case "wait":
                await self._wait("resource")
        answer = {
            "path": request.path,
            "method": request.method,
            "query": request.query,
            "user": context.user.login if context.user else None,
            "header": request.header("x-asked"),
            "body": request.body.decode(),
            "environment": sorted(os.environ),
        }
        return ResourceResponse(headers={"Content-Type": "application/json"}, body=json.dumps(answer).encode())

    async def check_health(self, context: PluginContext) -> HealthResult:
        name = context.data_source.name if context.data_source else ""
        if name == "broken":
            raise ZeroDivisionError("the secret is in here")
        return HealthResult(HealthStatus.OK, f"echo for {name}", {"verboseMessage": "fine"})

    async def subscribe_stream(self, context: PluginContext, request: StreamRequest) -> SubscribeResult:
        if request.path == "missing":
            raise PluginError("no such channel", status=404)
        if request.path == "break":
            raise ZeroDivisionError("the secret is in here")
        if request.path == "private":
            return SubscribeResult(SubscribeStatus.PERMISSION_DENIED)
        return SubscribeResult(SubscribeStatus.OK, Frame("initial", [Field("n", pa.array([0], pa.int64()))]))

    async def publish_stream(self, context: PluginContext, request: StreamRequest) -> PublishResult:
        if request.path == "private":
            raise PluginError("not you", status=403)
        return PublishResult(PublishStatus.OK, request.data)

    async def run_stream(self, context: PluginContext, request: StreamRequest) -> AsyncIterator[Frame | bytes]:
        try:
            yield request.data
            for number in range(2):
                yield Frame("tick", [Field("n", pa.array([number], pa.int64()))])
            if request.path == "break":
                raise PluginError("the stream broke", status=503)
            if request.path == "endless":
                await asyncio.Event().wait()
        finally:
            self._note(f"stream {request.path} ended")

    async def close(self) -> None:
        self._note("closed")

    async def _refuse(self) -> None:
        raise PluginError("refused in a group", status=403)

    async def _wait(self, what: str) -> None:
        self._note(f"{what} waits")
        try:
            await asyncio.Event().wait()
        finally:
            self._note(f"{what} stopped")

    async def _meet(self, parties: int) -> None:
        """Return when `parties` queries wait here at the same time."""
        self._barrier = getattr(self, "_barrier", None) or asyncio.Barrier(parties)
        await self._barrier.wait()

    async def _pieces(self, count: int) -> AsyncIterator[bytes]:
        for number in range(count):
            yield f"{number},".encode()

    async def _broken(self, after: int) -> AsyncIterator[bytes]:
        for _ in range(after):
            yield b"half"
        raise ZeroDivisionError("the secret is in here")

    def _note(self, line: str) -> None:
        if self._journal:
            with self._journal.open("a") as file:
                file.write(line + "\n")


async def make(context: PluginContext) -> DataSource:
    settings = json.loads(context.data_source.json_data or b"{}") if context.data_source else {}
    if "wrong" in settings:
        raise PluginError(f"the setting is wrong: {settings['wrong']}", status=400, source=ErrorSource.DOWNSTREAM)
    return Echo(settings)


if __name__ == "__main__":
    sys.exit(asyncio.run(serve_plugin(make, name="echo", version="1.2.3")))
