"""Authentication of calls, in front of all services of the server."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import grpc
from prometheus_client import Counter

from ceems_grpc.bridge.tokens import TokenFile
from ceems_grpc.store.remote.errors import Cause
from ceems_grpc.store.remote.protocol import PROTOCOL, PROTOCOL_KEY, REFUSAL_KEY, TOKEN_KEY, TOKEN_PREFIX, VERSION_KEY
from ceems_grpc.version import VERSION

_log = logging.getLogger(__name__)

_REFUSED = Counter("ceems_bridge_refused_total", "Calls that were refused.", labelnames=["cause"])

_SIGNATURE = ((VERSION_KEY, VERSION),)

_Rpc = grpc.aio.ServicerContext[Any, Any]
_Details = grpc.HandlerCallDetails
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # the class itself is not subscriptable


class Gate(grpc.aio.ServerInterceptor):
    """Accepts a call with a known token, a certificate with an allowed name, and the right version of the protocol.

    ``tokens``: None means that no token is required. ``names``: empty means any certificate that TLS accepts. A refused
    call gets only the reason, and its request is not read.
    """

    def __init__(self, tokens: TokenFile | None, names: frozenset[str] = frozenset()) -> None:
        self._tokens = tokens
        self._names = names

    async def intercept_service(
        self, continuation: Callable[[_Details], Awaitable["_Handler | None"]], handler_call_details: _Details
    ) -> "_Handler | None":
        """Return the handler of the call, or a handler that refuses it."""
        metadata = dict(handler_call_details.invocation_metadata or ())
        if self._tokens and not self._tokens.knows(_token(metadata)):
            given = "is not one of the server's" if TOKEN_KEY in metadata else "is missing"
            return _refusing(Cause.REFUSED, grpc.StatusCode.UNAUTHENTICATED, f"the token {given}")
        spoken = _text(metadata, PROTOCOL_KEY)
        if spoken != str(PROTOCOL):
            version = _text(metadata, VERSION_KEY)[:40]
            return _refusing(
                Cause.VERSION,
                grpc.StatusCode.FAILED_PRECONDITION,
                f"this ceems-grpc server is version {VERSION} and speaks protocol {PROTOCOL}, the plugin in Grafana is "
                f"version {version or 'unknown'} and speaks protocol {spoken[:10] or 'none'}: install the same version "
                "on both hosts",
            )
        handler = await continuation(handler_call_details)
        if handler is None:
            return _refusing(
                Cause.VERSION,
                grpc.StatusCode.UNIMPLEMENTED,
                f"this ceems-grpc server, version {VERSION}, does not know {handler_call_details.method[:100]}",
            )
        return self._signing(handler)

    def _signing(self, handler: _Handler) -> _Handler:
        """Return the handler with a check of the client's names before it, and our version in its trailing metadata."""
        if handler.response_streaming:
            kind = "stream_stream" if handler.request_streaming else "unary_stream"
        else:
            kind = "stream_unary" if handler.request_streaming else "unary_unary"
        behaviour = getattr(handler, kind)

        async def let_in(request: Any, rpc: _Rpc) -> Any:  # noqa: ANN401 - as the service has them
            rpc.set_trailing_metadata(_SIGNATURE)
            if self._names and not self._names & _names(rpc):
                await _refuse(
                    rpc,
                    Cause.REFUSED,
                    grpc.StatusCode.PERMISSION_DENIED,
                    f"the client certificate is for {', '.join(sorted(_names(rpc))) or 'no name'}: that is not allowed",
                )
            answer = behaviour(request, rpc)
            if not hasattr(answer, "__aiter__"):
                return await answer
            async for message in answer:
                await rpc.write(message)
            return None

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        made: _Handler = make(let_in, handler.request_deserializer, handler.response_serializer)
        return made


def _refusing(cause: Cause, code: grpc.StatusCode, details: str) -> _Handler:
    async def refuse(_requests: object, rpc: _Rpc) -> None:
        await _refuse(rpc, cause, code, details)

    # A stream handler does not wait for the request.
    return grpc.stream_stream_rpc_method_handler(refuse)


async def _refuse(rpc: _Rpc, cause: Cause, code: grpc.StatusCode, details: str) -> None:
    _REFUSED.labels(cause.value).inc()
    _log.warning("a call was refused: %s", details, extra={"peer": rpc.peer()})
    await rpc.abort(code, details, (*_SIGNATURE, (REFUSAL_KEY, cause.value)))


def _token(metadata: Mapping[str, str | bytes]) -> str:
    text = _text(metadata, TOKEN_KEY)
    return text.removeprefix(TOKEN_PREFIX) if text.startswith(TOKEN_PREFIX) else ""


def _text(metadata: Mapping[str, str | bytes], key: str) -> str:
    value = metadata.get(key, "")
    return value if isinstance(value, str) else ""


def _names(rpc: _Rpc) -> frozenset[str]:
    """Return the names in the verified client certificate. gRPC returns "" for a missing common name."""
    given = rpc.auth_context()
    keys = ("x509_common_name", "x509_subject_alternative_name")
    return frozenset(name.decode(errors="replace") for key in keys for name in given.get(key, ()) if name)
