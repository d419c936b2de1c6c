"""A connection to a `ceems-grpc server` that reconnects by itself and sends the bridge's metadata with every call."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import grpc

from ceems_grpc.store.remote.certificates import (
    CertificateError,
    check_pair,
    read_certificates,
    tidy_certificates,
    tidy_key,
)
from ceems_grpc.store.remote.diagnose import diagnose
from ceems_grpc.store.remote.endpoint import Endpoint, is_loopback
from ceems_grpc.store.remote.errors import AnsweredError, Cause, RemoteError
from ceems_grpc.store.remote.protocol import PROTOCOL, PROTOCOL_KEY, REFUSAL_KEY, TOKEN_KEY, TOKEN_PREFIX, VERSION_KEY
from ceems_grpc.store.remote.trust import system_authorities
from ceems_grpc.version import VERSION

Metadata = Sequence[tuple[str, str | bytes]]

# A server that restarts is available again within this time.
_PATIENCE_SECONDS = 2.5
# If a server has been unavailable for longer than this, calls fail at once.
_LONG_AWAY_SECONDS = 30.0
_PAUSE_SECONDS = 0.1
_OPTIONS: list[tuple[str, Any]] = [
    # Grafana accepts answers of this size from a plugin. The server has a limit of its own.
    ("grpc.max_receive_message_length", 2**31 - 1),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    # A peer that disappears silently is noticed after at most 30 seconds, also between calls.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # gRPC uses this also as the timeout of an attempt to connect.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Failed calls are retried here and not by gRPC, which cannot tell which failures are permanent.
    ("grpc.enable_retries", 0),
    # After a change of the settings, no earlier connection is reused.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]
_TOO_LARGE = "larger than max"
# The status of a call that did not reach the server, or that was running when the server ended.
_CUT_OFF = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class BridgeConnection:
    """Calls a server with serialized messages.

    Calls raise `RemoteError` if the server cannot be called, and `AnsweredError` if it answers with a gRPC status. The
    first call connects. Create and use the object in the same event loop.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Open the channel. Raises `RemoteError` if the certificates or the key cannot be used."""
        self.endpoint = endpoint = _tidy(endpoint)
        self._channel = _open(endpoint)
        self._own_metadata = _own_metadata(endpoint)
        self._diagnosis: asyncio.Task[RemoteError | None] | None = None
        self._away_since: float | None = None

    async def call(self, method: str, request: bytes, *, seconds: float | None, metadata: Metadata = ()) -> bytes:
        """Call ``/package.Service/Method``, which answers once. ``seconds``: the deadline; None means no deadline."""
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
        attempts = _Attempts(seconds)
        while True:
            try:
                answer = await ask(request, timeout=attempts.seconds_left(), metadata=self._metadata(metadata))
            except grpc.aio.AioRpcError as error:
                if not await self._comes_back(error, attempts):
                    await self._fail(error, seconds)
            else:
                self._away_since = None
                return answer

    async def stream(
        self, method: str, request: bytes, *, seconds: float | None, metadata: Metadata = ()
    ) -> AsyncGenerator[bytes, None]:
        """Call a method that answers with a stream. A caller that stops early must close the iterator."""
        ask: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(method)
        attempts = _Attempts(seconds)
        started = False
        while True:
            answers = ask(request, timeout=attempts.seconds_left(), metadata=self._metadata(metadata))
            try:
                async for answer in answers:
                    self._away_since = None
                    started = True
                    yield answer
            except grpc.aio.AioRpcError as error:
                if started or not await self._comes_back(error, attempts):
                    await self._fail(error, seconds)
            else:
                return
            finally:
                answers.cancel()

    async def diagnose(self) -> RemoteError | None:
        """Return why the server cannot be reached, or None if it can; see `ceems_grpc.store.remote.diagnose`."""
        if self._diagnosis is None:
            self._diagnosis = asyncio.create_task(diagnose(self.endpoint))
            self._diagnosis.add_done_callback(self._forget_diagnosis)
        return await asyncio.shield(self._diagnosis)

    async def close(self) -> None:
        """Close the connection and end all its calls."""
        if self._diagnosis:
            self._diagnosis.cancel()
        await self._channel.close()

    async def _comes_back(self, error: grpc.aio.AioRpcError, attempts: "_Attempts") -> bool:
        """Return whether to repeat a failed call, which is safe because all calls only read.

        Waits until a lost connection is restored, unless the diagnosis shows a permanent failure.
        """
        if error.code() not in _CUT_OFF or VERSION_KEY in dict(error.trailing_metadata() or ()):
            return False
        now = time.monotonic()
        away_since = self._away_since = self._away_since or now  # another call may succeed during the diagnosis
        trouble = await self.diagnose()
        if trouble and (trouble.cause is not Cause.NETWORK or now - away_since > _LONG_AWAY_SECONDS):
            return False
        try:
            async with asyncio.timeout(attempts.patience_left()):
                await asyncio.sleep(_PAUSE_SECONDS)
                await self._ready()
        except TimeoutError:
            return False
        return True

    async def _ready(self) -> None:
        while (state := self._channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self._channel.wait_for_state_change(state)

    def _forget_diagnosis(self, _done: asyncio.Task[RemoteError | None]) -> None:
        self._diagnosis = None

    def _metadata(self, more: Metadata) -> Metadata:
        return [*self._own_metadata, *more]

    async def _fail(self, error: grpc.aio.AioRpcError, seconds: float | None) -> NoReturn:
        trailing = dict(error.trailing_metadata() or ())
        address, details = self.endpoint.address, error.details() or ""
        code = error.code()
        if REFUSAL_KEY in trailing:
            cause = Cause.VERSION if trailing[REFUSAL_KEY] == Cause.VERSION else Cause.REFUSED
            raise RemoteError(cause, f"{address}: {details}") from None
        if VERSION_KEY in trailing:
            raise AnsweredError(code, details) from None
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            within = f" within {seconds:.3g} s" if seconds is not None else " in time"
            raise RemoteError(Cause.DEADLINE, f"{address} did not answer{within}.") from None
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in details:
            raise RemoteError(
                Cause.SIZE, f"A message to or from {address} exceeds the size limit ({details}): narrow the query."
            ) from None
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise RemoteError(Cause.BUSY, f"{address} has too many questions to answer: try again later.") from None
        if code is grpc.StatusCode.UNIMPLEMENTED:
            raise RemoteError(Cause.VERSION, f"{address} is a gRPC server, but not a ceems-grpc server.") from None
        if code is not grpc.StatusCode.CANCELLED:
            trouble = await self.diagnose()
            if trouble:
                raise trouble from None
        raise RemoteError(Cause.NETWORK, f"The connection to {address} broke: {details}") from None


class _Attempts:
    """The time that is left for a call and its retries."""

    def __init__(self, seconds: float | None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._patient_until: float | None = None

    def seconds_left(self) -> float | None:
        """Return the seconds until the deadline; None means no deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def patience_left(self) -> float:
        """Return for how many seconds to wait for a connection. The wait starts with the first call of this method."""
        now = time.monotonic()
        if self._patient_until is None:
            self._patient_until = now + _PATIENCE_SECONDS
        left = self.seconds_left()
        return max(0.0, min(self._patient_until - now, _PATIENCE_SECONDS if left is None else left))


def _own_metadata(endpoint: Endpoint) -> Metadata:
    own = [(PROTOCOL_KEY, str(PROTOCOL)), (VERSION_KEY, VERSION)]
    return [*own, (TOKEN_KEY, TOKEN_PREFIX + endpoint.token)] if endpoint.token else own


def _open(endpoint: Endpoint) -> grpc.aio.Channel:
    if endpoint.plain_text:
        if not is_loopback(endpoint.host):
            raise RemoteError(Cause.TLS, "Plain text is allowed only for this host; use TLS for other hosts.")
        return grpc.aio.insecure_channel(endpoint.address, _OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=endpoint.ca_cert.encode() or system_authorities(),
        private_key=endpoint.client_key.encode() or None,
        certificate_chain=endpoint.client_cert.encode() or None,
    )
    name = [("grpc.ssl_target_name_override", endpoint.server_name)] if endpoint.server_name else []
    return grpc.aio.secure_channel(endpoint.address, credentials, [*_OPTIONS, *name])


def _tidy(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with certificates and key in normal form, which all libraries can read."""
    try:
        if endpoint.ca_cert:
            read_certificates(endpoint.ca_cert.encode(), "The certificate of the authority (CA)")
        if endpoint.client_cert:
            check_pair(endpoint.client_cert.encode(), endpoint.client_key.encode(), "The client certificate")
        return replace(
            endpoint,
            ca_cert=tidy_certificates(endpoint.ca_cert),
            client_cert=tidy_certificates(endpoint.client_cert),
            client_key=tidy_key(endpoint.client_key) if endpoint.client_cert else "",
        )
    except CertificateError as error:
        raise RemoteError(Cause.TLS, str(error)) from None
