"""Connects methods to a gRPC service by its description, so that names, types and streaming are checked at start.

Also reads what comes with a request: gRPC's metadata, and the request id for the logs.
"""

import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from inspect import isasyncgenfunction
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from ceems_grpc.grafana.serve.telemetry.trace_context import trace_context

_HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}

REQUEST_ID = "x-grafana-request-id"
"""Metadata or header: the id that Grafana gave a request."""
_USABLE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")

# Requests, answers and contexts differ from method to method.
Method = Callable[..., Any]


def service(description: ServiceDescriptor, methods: Mapping[str, Method]) -> grpc.GenericRpcHandler:
    """Make the handler of a service. ``methods`` must have exactly the methods of the description."""
    described = {method.name: method for method in description.methods}
    if described.keys() != methods.keys():
        raise ValueError(f"{description.full_name} has the methods {sorted(described)}, not {sorted(methods)}.")
    handlers = {}
    for name, method in described.items():
        make = _HANDLERS[method.client_streaming, method.server_streaming]
        handlers[name] = make(
            methods[name] if method.client_streaming else _refusing_what_is_unreadable(methods[name]),
            request_deserializer=_reader(GetMessageClass(method.input_type)),
            response_serializer=_written,
        )
    return grpc.method_handlers_generic_handler(description.full_name, handlers)


class _Unreadable:
    """Takes the place of a request whose bytes are not a message of its type.

    If a deserializer raised, the call would end with the text of the exception, and the log would get a traceback.
    """


def _reader(kind: type[Message]) -> Callable[[bytes], "Message | _Unreadable"]:
    def read(data: bytes) -> Message | _Unreadable:
        try:
            return kind.FromString(data)
        except DecodeError:
            return _Unreadable()

    return read


def _refusing_what_is_unreadable(method: Method) -> Method:
    async def check(request: Message | _Unreadable, rpc: "grpc.aio.ServicerContext[Any, Any]") -> None:
        if isinstance(request, _Unreadable):
            await rpc.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "The request cannot be read: it is not a message of its type."
            )

    async def answer_once(request: Any, rpc: "grpc.aio.ServicerContext[Any, Any]") -> Any:  # noqa: ANN401 - any answer
        await check(request, rpc)
        return await method(request, rpc)

    async def yield_answers(request: Any, rpc: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[Any]:  # noqa: ANN401
        await check(request, rpc)
        async with aclosing(method(request, rpc)) as answers:
            async for answer in answers:
                yield answer

    return yield_answers if isasyncgenfunction(method) else answer_once


def _written(answer: Message | bytes) -> bytes:
    """Serialize an answer, unless a relay has passed it on in serialized form."""
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def metadata_of(rpc: "grpc.aio.ServicerContext[Any, Any]") -> dict[str, str]:
    """Return the metadata of a call that has text values. If a name has several values, the last one counts."""
    given = rpc.invocation_metadata() or ()
    return {name: value for name, value in given if isinstance(value, str)}


def request_id(metadata: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return the id of a request: its trace id, otherwise the id that Grafana gave it, otherwise a random id.

    Grafana's id is in the metadata or in the request's headers (names in any case, possibly with the prefix ``http_``).
    """
    traced = trace_context(metadata)
    if traced is not None:
        return traced.trace
    named = {name.lower().removeprefix("http_"): value for name, value in headers.items()}
    given = metadata.get(REQUEST_ID) or named.get(REQUEST_ID) or ""
    return given if _USABLE_ID.fullmatch(given) else secrets.token_hex(8)


def status_code(http_status: int) -> grpc.StatusCode:
    """Return the gRPC status that is closest to an HTTP status."""
    codes = {
        400: grpc.StatusCode.INVALID_ARGUMENT,
        401: grpc.StatusCode.UNAUTHENTICATED,
        403: grpc.StatusCode.PERMISSION_DENIED,
        404: grpc.StatusCode.NOT_FOUND,
        413: grpc.StatusCode.RESOURCE_EXHAUSTED,
        429: grpc.StatusCode.RESOURCE_EXHAUSTED,
        501: grpc.StatusCode.UNIMPLEMENTED,
        502: grpc.StatusCode.UNAVAILABLE,
        503: grpc.StatusCode.UNAVAILABLE,
        504: grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    return codes.get(http_status, grpc.StatusCode.UNKNOWN)
