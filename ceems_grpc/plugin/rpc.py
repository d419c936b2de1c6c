"""Ties methods to a gRPC service by its description, so that names, types and streaming are checked at start."""

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

_HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}

# Requests, answers and contexts differ from method to method.
Method = Callable[..., Any]


def service(description: ServiceDescriptor, methods: Mapping[str, Method]) -> grpc.GenericRpcHandler:
    """Make the handler of a service. All methods of the description must be given, and no others."""
    described = {method.name: method for method in description.methods}
    if described.keys() != methods.keys():
        raise ValueError(f"{description.full_name} has the methods {sorted(described)}, not {sorted(methods)}.")
    handlers = {}
    for name, method in described.items():
        request, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        make = _HANDLERS[method.client_streaming, method.server_streaming]
        handlers[name] = make(
            methods[name], request_deserializer=request.FromString, response_serializer=answer.SerializeToString
        )
    return grpc.method_handlers_generic_handler(description.full_name, handlers)


def status_code(http_status: int) -> grpc.StatusCode:
    """Give the gRPC status nearest to an HTTP status."""
    codes = {
        400: grpc.StatusCode.INVALID_ARGUMENT,
        401: grpc.StatusCode.UNAUTHENTICATED,
        403: grpc.StatusCode.PERMISSION_DENIED,
        404: grpc.StatusCode.NOT_FOUND,
        429: grpc.StatusCode.RESOURCE_EXHAUSTED,
        501: grpc.StatusCode.UNIMPLEMENTED,
        503: grpc.StatusCode.UNAVAILABLE,
        504: grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    return codes.get(http_status, grpc.StatusCode.UNKNOWN)
