"""Passes requests to data sources that run in another process; see `ceems_grpc.grafana.backend.relay`."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.errors import PluginError
from ceems_grpc.grafana.backend.relay import PassedStatusError, Relay, RelayedCall
from ceems_grpc.grafana.serve.instances import Instances
from ceems_grpc.grafana.serve.services.call import FAILURES, Call, answering, check_cancelled
from ceems_grpc.grafana.serve.services.rpc import REQUEST_ID, Method, metadata_of, status_code
from ceems_grpc.grafana.serve.telemetry import metrics
from ceems_grpc.grafana.serve.telemetry.tracing import outgoing_trace
from ceems_grpc.pb import pluginv2_pb2 as pb

# Requests, answers and contexts differ from method to method.
Request: TypeAlias = Any
_Rpc = grpc.aio.ServicerContext[Any, Any]

_FORWARDED_METADATA = frozenset({"traceparent", "tracestate", "uber-trace-id", "baggage"})


def relayable(instances: Instances, service: ServiceDescriptor, methods: Mapping[str, Method]) -> dict[str, Method]:
    """Wrap the methods so that requests to a `Relay` are passed on. All other requests are answered here, as before."""
    return {
        name: _relayable(instances, service.methods_by_name[name], answer_here) for name, answer_here in methods.items()
    }


def _relayable(instances: Instances, method: MethodDescriptor, answer_here: Method) -> Method:
    async def answer(request: Request, rpc: _Rpc) -> Message | bytes | None:
        context = PluginContext.from_proto(request.pluginContext)
        async with AsyncExitStack() as stack:
            try:
                datasource = await stack.enter_async_context(instances.lease(context))
            except FAILURES as error:
                check_cancelled(error)
                datasource = None  # The method meets the same failure and reports it.
            if not isinstance(datasource, Relay):
                answered: Message | None = await answer_here(request, rpc)
                return answered
            return await _pass_on(datasource, method, context, request, rpc)

    async def answer_until_retired(request: Request, rpc: _Rpc) -> Message | bytes | None:
        try:
            retired = instances.retirement(PluginContext.from_proto(request.pluginContext))
        except FAILURES:
            return await answer(request, rpc)  # The method meets the same failure and reports it.
        running, retirement = asyncio.create_task(answer(request, rpc)), asyncio.create_task(retired.wait())
        try:
            await asyncio.wait([running, retirement], return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else None
        finally:
            running.cancel()
            retirement.cancel()
            await asyncio.wait([running, retirement])

    # A run of the old settings would go on with the rights and the database that these had.
    return answer_until_retired if method.name == "RunStream" else answer


async def _pass_on(
    relay: Relay, method: MethodDescriptor, context: PluginContext, request: Request, rpc: _Rpc
) -> Message | bytes | None:
    broken: PassedStatusError | None = None
    headers = _headers(request)
    with answering(method.name[0].lower() + method.name[1:], context, rpc, headers) as call:
        passed = RelayedCall(method, request, rpc.time_remaining(), _forwarded_metadata(rpc, call))
        started = False
        try:
            async with aclosing(relay.pass_on(passed)) as answers:
                async for message in answers:
                    metrics.BYTES.labels(call.endpoint).inc(len(message))
                    if not method.server_streaming:
                        return message
                    await rpc.write(message)
                    started = True
        except PassedStatusError as error:
            broken = error
            _count(call, error)
        except FAILURES as error:
            failure = call.failure(error)
            refusals = [] if started else list(_REFUSALS[method.name](request, failure))
            if not refusals:
                broken = PassedStatusError(status_code(failure.status), failure.message)
            for refusal in refusals:
                if not method.server_streaming:
                    return refusal
                await rpc.write(refusal)
    if broken:
        await rpc.abort(broken.code, broken.details)
    return None


def _forwarded_metadata(rpc: _Rpc, call: Call) -> tuple[tuple[str, str], ...]:
    """Return the metadata to send: Grafana's own, the trace context, and the request id for the other log."""
    forwarded = {
        name: value
        for name, value in metadata_of(rpc).items()
        if name in _FORWARDED_METADATA or name.startswith("x-grafana-")
    }
    forwarded.setdefault(REQUEST_ID, call.request_id)
    trace = outgoing_trace()
    if trace:
        forwarded.pop("uber-trace-id", None)
    return tuple({**forwarded, **trace}.items())


def _headers(request: Request) -> dict[str, str]:
    """Return the first value of each header. Headers of resource requests may have several values."""
    given = getattr(request, "headers", {})
    return {
        name: value if isinstance(value, str) else value.values[0]
        for name, value in given.items()
        if isinstance(value, str) or value.values
    }


def _count(call: Call, error: PassedStatusError) -> None:
    call.failure(PluginError(error.details or error.code.name, status=502))


# ---- Answers to each kind of request when the other process cannot be asked; none: the call ends with an error.


def _query_data(request: pb.QueryDataRequest, failure: PluginError) -> Iterator[Message]:
    answer = pb.DataResponse(
        error=failure.message, status=failure.status, errorSource=failure.source, format=request.format
    )
    yield pb.QueryDataResponse(responses={query.refId: answer for query in request.queries})


def _query_chunked_data(request: pb.QueryChunkedDataRequest, failure: PluginError) -> Iterator[Message]:
    for query in request.queries:
        yield pb.QueryChunkedDataResponse(
            refId=query.refId,
            error=failure.message,
            status=failure.status,
            errorSource=failure.source,
            format=request.format,
        )


def _call_resource(_request: pb.CallResourceRequest, failure: PluginError) -> Iterator[Message]:
    yield pb.CallResourceResponse(
        code=failure.status,
        headers={"Content-Type": pb.StringList(values=["application/json"])},
        body=json.dumps({"message": failure.message}).encode(),
    )


def _check_health(_request: pb.CheckHealthRequest, failure: PluginError) -> Iterator[Message]:
    yield pb.CheckHealthResponse(
        status=pb.CheckHealthResponse.ERROR,
        message=failure.message,
        jsonDetails=json.dumps({"verboseMessage": failure.message}).encode(),
    )


def _nothing(_request: Message, _failure: PluginError) -> Iterator[Message]:
    return iter(())


_REFUSALS: Mapping[str, Callable[[Any, PluginError], Iterator[Message]]] = {
    "QueryData": _query_data,
    "QueryChunkedData": _query_chunked_data,
    "CallResource": _call_resource,
    "CheckHealth": _check_health,
    "SubscribeStream": _nothing,
    "PublishStream": _nothing,
    "RunStream": _nothing,
}
