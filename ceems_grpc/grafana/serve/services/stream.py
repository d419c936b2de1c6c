"""The Stream service: Grafana Live."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import grpc

from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.errors import PluginError
from ceems_grpc.grafana.backend.stream import (
    PublishResult,
    PublishStatus,
    StreamRequest,
    SubscribeResult,
    SubscribeStatus,
)
from ceems_grpc.grafana.serve.instances import Instances
from ceems_grpc.grafana.serve.services.call import FAILURES, Call, answering
from ceems_grpc.grafana.serve.services.relaying import relayable
from ceems_grpc.grafana.serve.services.rpc import Method, service, status_code
from ceems_grpc.grafana.serve.telemetry import metrics
from ceems_grpc.pb import pluginv2_pb2 as pb

if TYPE_CHECKING:
    from ceems_grpc.grafana.data.frame import Frame

_Rpc = grpc.aio.ServicerContext[Any, Any]

# Grafana's protocol has answers for these failures; all others end the call.
_REFUSALS = {401: "PERMISSION_DENIED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


class StreamService:
    """Channels of Grafana Live. Frames are sent as JSON with their schema, so that late listeners can read them."""

    def __init__(self, instances: Instances, stopping: asyncio.Event) -> None:
        self._instances = instances
        self._stopping = stopping

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        methods: dict[str, Method] = {
            "SubscribeStream": self.subscribe_stream,
            "PublishStream": self.publish_stream,
            "RunStream": self.run_stream,
        }
        description = pb.DESCRIPTOR.services_by_name["Stream"]
        return service(description, relayable(self._instances, description, methods))

    async def subscribe_stream(self, request: pb.SubscribeStreamRequest, rpc: _Rpc) -> pb.SubscribeStreamResponse:
        """Answer whether this user may listen. A ``PluginError`` with 401, 403 or 404 also refuses."""
        context = PluginContext.from_proto(request.pluginContext)
        with answering("subscribeStream", context, rpc, request.headers) as call:
            try:
                async with self._instances.get(context) as datasource:
                    result = await datasource.subscribe_stream(context, StreamRequest(request.path, request.data))
            except FAILURES as error:
                result = SubscribeResult(SubscribeStatus[await _refusal(call.failure(error), rpc)])
            data = b"" if result.initial is None else await _json(result.initial)
            return pb.SubscribeStreamResponse(status=result.status.name, data=data)

    async def publish_stream(self, request: pb.PublishStreamRequest, rpc: _Rpc) -> pb.PublishStreamResponse:
        """Answer whether this user may send, and what the listeners get. Refusals are the same as for listening."""
        context = PluginContext.from_proto(request.pluginContext)
        with answering("publishStream", context, rpc, request.headers) as call:
            try:
                async with self._instances.get(context) as datasource:
                    result = await datasource.publish_stream(context, StreamRequest(request.path, request.data))
            except FAILURES as error:
                result = PublishResult(PublishStatus[await _refusal(call.failure(error), rpc)])
            return pb.PublishStreamResponse(status=result.status.name, data=result.data)

    async def run_stream(self, request: pb.RunStreamRequest, rpc: _Rpc) -> None:
        """Send what the data source yields until it ends, Grafana leaves or the plugin stops."""
        context = PluginContext.from_proto(request.pluginContext)
        with answering("runStream", context, rpc, request.headers) as call:
            sending = asyncio.create_task(self._send(call, context, StreamRequest(request.path, request.data), rpc))
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait([sending, stopping], return_when=asyncio.FIRST_COMPLETED)
                failure = sending.result() if sending.done() else None
            finally:
                sending.cancel()
                stopping.cancel()
                await asyncio.wait([sending, stopping])
            if failure:
                await rpc.abort(status_code(failure.status), failure.message)

    async def _send(self, call: Call, context: PluginContext, request: StreamRequest, rpc: _Rpc) -> PluginError | None:
        try:
            async with AsyncExitStack() as stack:
                datasource = await stack.enter_async_context(self._instances.get(context))
                packets = datasource.run_stream(context, request)
                if hasattr(packets, "aclose"):
                    # A generator that is left early must end before the data source is released.
                    stack.push_async_callback(packets.aclose)
                async for packet in packets:
                    data = await _json(packet)
                    await rpc.write(pb.StreamPacket(data=data))
                    metrics.BYTES.labels(call.endpoint).inc(len(data))
        except FAILURES as error:
            return call.failure(error)
        return None


async def _refusal(failure: PluginError, rpc: _Rpc) -> str:
    """Return the name of the status for this failure. If there is none, end the call."""
    if failure.status not in _REFUSALS:
        await rpc.abort(status_code(failure.status), failure.message)
    return _REFUSALS[failure.status]


async def _json(packet: "Frame | bytes") -> bytes:
    return packet if isinstance(packet, bytes) else await asyncio.to_thread(packet.to_json)
