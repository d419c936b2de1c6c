"""The Resource service: HTTP-like requests, answered in parts."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import grpc

from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.errors import PluginError
from ceems_grpc.grafana.backend.resource import ResourceRequest, ResourceResponse
from ceems_grpc.grafana.serve import memory
from ceems_grpc.grafana.serve.instances import Instances
from ceems_grpc.grafana.serve.services.call import FAILURES, Call, answering
from ceems_grpc.grafana.serve.services.relaying import relayable
from ceems_grpc.grafana.serve.services.rpc import service
from ceems_grpc.grafana.serve.telemetry import metrics
from ceems_grpc.pb import pluginv2_pb2 as pb

BYTES_PER_PART = 256 * 1024

_Rpc = grpc.aio.ServicerContext[Any, Any]


class ResourceService:
    """Passes requests to the data source, and returns its answers part by part."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        description = pb.DESCRIPTOR.services_by_name["Resource"]
        return service(description, relayable(self._instances, description, {"CallResource": self.call_resource}))

    async def call_resource(self, request: pb.CallResourceRequest, rpc: _Rpc) -> None:
        """Send status and headers with the first part of the body, then the other parts.

        A failure before the first part is sent becomes a status with ``{"message": ...}``; a later one ends the call
        with a gRPC error, so that the browser does not take half a body for a whole one.
        """
        context = PluginContext.from_proto(request.pluginContext)
        broken: PluginError | None = None
        headers = {name: values.values[0] for name, values in request.headers.items() if values.values}
        with answering("callResource", context, rpc, headers) as call:
            started, size = False, 0
            try:
                async with AsyncExitStack() as stack:
                    datasource = await stack.enter_async_context(self._instances.get(context))
                    response = await datasource.call_resource(context, ResourceRequest.from_proto(request))
                    async for part in _messages(response, stack):
                        await _send(call, rpc, part)
                        started = True
                        size += len(part.body)
            except FAILURES as error:
                failure = call.failure(error)
                if started:
                    broken = failure
                else:
                    await _send(call, rpc, _error_message(failure))
        memory.answered(size)
        if broken:
            await rpc.abort(grpc.StatusCode.INTERNAL, broken.message)


async def _messages(response: ResourceResponse, stack: AsyncExitStack) -> AsyncIterator[pb.CallResourceResponse]:
    parts = _parts(response.body, stack)
    first = await anext(parts, b"")
    yield pb.CallResourceResponse(code=response.status, headers=_headers(response.headers), body=first)
    async for part in parts:
        yield pb.CallResourceResponse(body=part)


async def _parts(body: bytes | AsyncIterator[bytes], stack: AsyncExitStack) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        for part in _split(body):
            yield part
        return
    if hasattr(body, "aclose"):
        # A generator that is left early must end before the data source is released.
        stack.push_async_callback(body.aclose)
    async for piece in body:
        for part in _split(piece):
            yield part


def _split(body: bytes) -> list[bytes]:
    return [body[start : start + BYTES_PER_PART] for start in range(0, len(body), BYTES_PER_PART)]


def _headers(headers: Mapping[str, tuple[str, ...] | str]) -> dict[str, pb.StringList]:
    return {name: pb.StringList(values=[value] if isinstance(value, str) else value) for name, value in headers.items()}


def _error_message(failure: PluginError) -> pb.CallResourceResponse:
    return pb.CallResourceResponse(
        code=failure.status,
        headers=_headers({"Content-Type": "application/json"}),
        body=json.dumps({"message": failure.message}).encode(),
    )


async def _send(call: Call, rpc: _Rpc, message: pb.CallResourceResponse) -> None:
    await rpc.write(message)
    metrics.BYTES.labels(call.endpoint).inc(len(message.body))
