"""A collector of traces: a real gRPC server of OTLP's TraceService that keeps the spans it receives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Received:
    """A span, with ids in hexadecimal and attributes as plain values; times in nanoseconds since 1970."""

    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    attributes: dict[str, Any]
    failed: bool
    message: str
    state: str
    service: dict[str, Any]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """The spans received so far."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.address = ""

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 gRPC's name
        for resource in request.resource_spans:
            service = _plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_received(span, service) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]

    async def until(self, name: str, count: int = 1) -> list[Received]:
        """Wait for a number of spans of a name."""
        async with asyncio.timeout(60):
            while len(self.named(name)) < count:  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0.02)
        return self.named(name)


@asynccontextmanager
async def collecting(address: str = "127.0.0.1:0") -> AsyncIterator[Collector]:
    """Run a collector until the block ends; port 0 takes a free port."""
    collector = Collector()
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port(address)
    collector.address = f"{address.rpartition(':')[0]}:{port}"
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(None)


def _received(span: trace_pb2.Span, service: dict[str, Any]) -> Received:
    return Received(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _plain(span.attributes),
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        span.status.message,
        span.trace_state,
        service,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}
