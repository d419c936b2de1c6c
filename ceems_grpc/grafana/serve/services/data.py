"""The Data service: queries."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc

from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.errors import ErrorSource, PluginError
from ceems_grpc.grafana.backend.query import DataQuery
from ceems_grpc.grafana.serve import memory
from ceems_grpc.grafana.serve.instances import Instances
from ceems_grpc.grafana.serve.services.call import FAILURES, Call, answering
from ceems_grpc.grafana.serve.services.relaying import relayable
from ceems_grpc.grafana.serve.services.rpc import Method, service
from ceems_grpc.grafana.serve.telemetry import metrics
from ceems_grpc.grafana.serve.telemetry.logs import log_fields
from ceems_grpc.grafana.serve.telemetry.tracing import mark_failed, span
from ceems_grpc.pb import pluginv2_pb2 as pb

if TYPE_CHECKING:
    from ceems_grpc.grafana.data.frame import Frame
    from ceems_grpc.grafana.serve.telemetry.otlp import OpenSpan

ROWS_PER_PIECE = 10_000
# Encoding more cells than this takes so long that other requests would have to wait: a thread does it.
_CELLS_WRITTEN_AT_ONCE = 20_000
_CELLS_OF_A_FIELD = 100  # writing the description of a field takes as long as writing this many cells
MOST_QUERIES = 100
"""Queries of one request that are answered; the others are refused."""

_Rpc = grpc.aio.ServicerContext[Any, Any]


class DataService:
    """Answers all queries of a request at the same time. A query that fails does not affect the others."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        methods: dict[str, Method] = {"QueryData": self.query_data, "QueryChunkedData": self.query_chunked_data}
        description = pb.DESCRIPTOR.services_by_name["Data"]
        return service(description, relayable(self._instances, description, methods))

    async def query_data(self, message: pb.QueryDataRequest, rpc: _Rpc) -> pb.QueryDataResponse:
        """Answer with whole frames by refId."""
        context = PluginContext.from_proto(message.pluginContext)
        with answering("queryData", context, rpc, message.headers) as call:
            request = _Request(call, context, message.format)
            async with asyncio.TaskGroup() as group:
                tasks = {
                    query.ref_id: group.create_task(self._answer(request, query))
                    for query in _queries_of(message.queries)
                }
            refusals = {refused.refId: _refusal(request) for refused in message.queries[MOST_QUERIES:]}
            return pb.QueryDataResponse(responses=refusals | {ref_id: task.result() for ref_id, task in tasks.items()})

    async def query_chunked_data(self, message: pb.QueryChunkedDataRequest, rpc: _Rpc) -> None:
        """Answer with pieces of frames. The query that is ready first is sent first.

        The pieces of one query come in order: a reader joins the pieces of a frame, and the first has the schema.
        A frame without rows is one piece. A query without frames sends one empty frame, so that a reader can tell it
        from a query that was not answered.
        """
        context = PluginContext.from_proto(message.pluginContext)
        sending = asyncio.Lock()

        async def send(answer: pb.QueryChunkedDataResponse) -> None:
            # gRPC takes one message at a time.
            async with sending:
                await rpc.write(answer)

        with answering("queryChunkedData", context, rpc, message.headers) as call:
            request = _Request(call, context, message.format)
            async with asyncio.TaskGroup() as group:
                for query in _queries_of(message.queries):
                    group.create_task(self._send(request, query, send))
            for refused in message.queries[MOST_QUERIES:]:
                await send(_about(_chunk_of(_too_many_queries()), request, DataQuery.from_proto(refused)))

    async def _answer(self, request: "_Request", query: DataQuery) -> pb.DataResponse:
        with _query_span(query) as opened:
            try:
                frames = await self._frames(request.context, query)
                written = await request.write(frames)
            except FAILURES as error:  # One bad query must not hurt the others.
                failure = request.call.failure(error)
                mark_failed(opened, failure.message)
                return _response_of(failure, request)
            return pb.DataResponse(frames=written, status=200, format=request.form)

    async def _send(
        self, request: "_Request", query: DataQuery, send: Callable[[pb.QueryChunkedDataResponse], Awaitable[None]]
    ) -> None:
        with _query_span(query) as opened:
            try:
                frames = await self._frames(request.context, query) or [_empty_frame(query.ref_id)]
                for number, frame in enumerate(frames):
                    for position, piece in enumerate(_pieces(frame)):
                        (written,) = await request.write([piece], schema=position == 0)
                        answer = pb.QueryChunkedDataResponse(frameId=str(number), frame=written, status=200)
                        await send(_about(answer, request, query))
            except FAILURES as error:  # One bad query must not hurt the others.
                failure = request.call.failure(error)
                mark_failed(opened, failure.message)
                await send(_about(_chunk_of(failure), request, query))

    async def _frames(self, context: PluginContext, query: DataQuery) -> "Sequence[Frame]":
        async with self._instances.get(context) as datasource:
            frames = await datasource.query(context, query)
        return [replace(frame, ref_id=frame.ref_id or query.ref_id) for frame in frames]


@dataclass(frozen=True, slots=True)
class _Request:
    """What all queries of one request share. ``form`` is the format of the frames."""

    call: Call
    context: PluginContext
    form: pb.DataFrameFormat

    async def write(self, frames: "Sequence[Frame]", *, schema: bool = True) -> list[bytes]:
        """Encode frames and count them. Only JSON can omit the schema."""

        def write(frame: "Frame") -> bytes:
            return frame.to_json(schema=schema) if self.form == pb.JSON else frame.to_arrow()

        cells = sum((frame.num_rows + _CELLS_OF_A_FIELD) * len(frame.fields) for frame in frames)
        if cells <= _CELLS_WRITTEN_AT_ONCE:
            written = list(map(write, frames))
        else:
            written = await asyncio.to_thread(lambda: list(map(write, frames)))
        size = sum(map(len, written))
        metrics.ROWS.labels(self.call.endpoint).inc(sum(frame.num_rows for frame in frames))
        metrics.BYTES.labels(self.call.endpoint).inc(size)
        memory.answered(size)
        return written


def _queries_of(messages: Sequence[pb.DataQuery]) -> "Iterator[DataQuery]":
    """Yield the queries that are answered, each with the JSON of the others."""
    texts = [message.json for message in messages[:MOST_QUERIES]]
    for place, message in enumerate(messages[:MOST_QUERIES]):
        yield DataQuery.from_proto(message, texts[place], (*texts[:place], *texts[place + 1 :]))


@contextmanager
def _query_span(query: DataQuery) -> "Iterator[OpenSpan | None]":
    """Record a span, and add the query's refId to it and to every log line inside the block."""
    with log_fields(refId=query.ref_id), span("query", {"ref_id": query.ref_id}) as opened:
        yield opened


def _about(answer: pb.QueryChunkedDataResponse, request: _Request, query: DataQuery) -> pb.QueryChunkedDataResponse:
    answer.refId, answer.format = query.ref_id, request.form
    return answer


def _too_many_queries() -> PluginError:
    message = f"A request may have at most {MOST_QUERIES} queries; this one is beyond: use several panels."
    return PluginError(message, status=400, source=ErrorSource.DOWNSTREAM)


def _refusal(request: _Request) -> pb.DataResponse:
    return _response_of(_too_many_queries(), request)


def _response_of(failure: PluginError, request: _Request) -> pb.DataResponse:
    return pb.DataResponse(
        error=failure.message, status=failure.status, errorSource=failure.source, format=request.form
    )


def _chunk_of(failure: PluginError) -> pb.QueryChunkedDataResponse:
    return pb.QueryChunkedDataResponse(error=failure.message, status=failure.status, errorSource=failure.source)


def _pieces(frame: "Frame") -> "Iterator[Frame]":
    if frame.num_rows <= ROWS_PER_PIECE:
        yield frame
        return
    # Whether a column may hold nulls is part of its type, which must be the same in all pieces.
    fixed = replace(frame, fields=[replace(field, nullable=field.column().nullable) for field in frame.fields])
    for offset in range(0, frame.num_rows, ROWS_PER_PIECE):
        yield fixed.slice(offset, ROWS_PER_PIECE)


def _empty_frame(ref_id: str) -> "Frame":
    from ceems_grpc.grafana.data.frame import Frame  # noqa: PLC0415 a plugin without queries starts without Arrow

    return Frame("", ref_id=ref_id)
