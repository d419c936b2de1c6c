"""A data source whose requests a `ceems-grpc server` answers; see `ceems_grpc.grafana.backend.relay.Relay`."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager

from prometheus_client import Metric

from ceems_grpc.bridge.remote_metrics import labelled
from ceems_grpc.bridge.requests import without_secrets
from ceems_grpc.grafana.backend.errors import ErrorSource, PluginError
from ceems_grpc.grafana.backend.relay import PassedStatusError, RelayedCall
from ceems_grpc.pb import bridge_pb2, pluginv2_pb2
from ceems_grpc.store.remote.connection import BridgeConnection, Metadata
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.errors import AnsweredError, RemoteError
from ceems_grpc.version import VERSION

_log = logging.getLogger(__name__)

_HELLO = "/ceems.v1.Bridge/Hello"
_METRICS = "/pluginv2.Diagnostics/CollectMetrics"
_HEALTH_SECONDS = 20.0
_METRICS_SECONDS = 2.0
_COPIED_AT_ONCE = 65_536  # bytes of a request; a thread copies larger ones
_CLOCKS_DIFFER = 30.0  # seconds; shorter than the update interval of CEEMS, which is minutes


class BridgeRelay:
    """Forwards requests over one connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Open the connection. Raises `PluginError` if its certificates cannot be used."""
        with _failures():
            self._connection = BridgeConnection(endpoint)

    async def pass_on(self, call: RelayedCall) -> AsyncGenerator[bytes, None]:
        """Yield the answers of the server as they arrive."""
        if call.request.ByteSize() <= _COPIED_AT_ONCE:
            request = without_secrets(call.request)
        else:
            request = await asyncio.to_thread(without_secrets, call.request)
        with _failures():
            if call.method.name == "CheckHealth":
                yield await self._health(call, request)
            elif call.method.server_streaming:
                answers = self._connection.stream(call.path, request, seconds=call.timeout, metadata=call.metadata)
                async with aclosing(answers):
                    async for answer in answers:
                        yield answer
            else:
                yield await self._connection.call(call.path, request, seconds=call.timeout, metadata=call.metadata)

    async def metrics(self) -> Sequence[Metric]:
        """Return the metrics of the server, labelled with its address; none if it does not answer soon."""
        address = self._connection.endpoint.address
        try:
            written = await self._connection.call(_METRICS, b"", seconds=_METRICS_SECONDS)
            answer = pluginv2_pb2.CollectMetricsResponse.FromString(written)
            return list(labelled(answer.metrics.prometheus.decode(), address))
        except (RemoteError, AnsweredError, ValueError) as error:
            _log.debug("the metrics of the server cannot be read", extra={"server": address, "detail": str(error)})
            return []

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _health(self, call: RelayedCall, request: bytes) -> bytes:
        """Ask the server for the health of the data source, and add the state of the connection."""
        # The diagnosis finds a failure at once. gRPC would first retry for a while.
        trouble = await self._connection.diagnose()
        if trouble:
            raise trouble
        seconds = _HEALTH_SECONDS if call.timeout is None else min(_HEALTH_SECONDS, call.timeout)
        hello, ahead = await self._hello(seconds, call.metadata)
        written = await self._connection.call(call.path, request, seconds=seconds, metadata=call.metadata)
        health = pluginv2_pb2.CheckHealthResponse.FromString(written)
        _add(health, self._connection.endpoint, hello.version, ahead)
        return health.SerializeToString()

    async def _hello(self, seconds: float, metadata: Metadata) -> tuple[bridge_pb2.HelloResponse, float]:
        """Return the server's answer, and by how many seconds its clock is ahead; 0 if within the accuracy."""
        before, began = time.time(), time.monotonic()
        written = await self._connection.call(_HELLO, b"", seconds=seconds, metadata=metadata)
        took = time.monotonic() - began
        hello = bridge_pb2.HelloResponse.FromString(written)
        ahead = hello.now_ms / 1000 - (before + took / 2)
        return hello, ahead if abs(ahead) > took / 2 else 0.0


def _add(health: pluginv2_pb2.CheckHealthResponse, endpoint: Endpoint, version: str, ahead: float) -> None:
    details = json.loads(health.jsonDetails or b"{}")
    details["bridge"] = {
        "address": endpoint.address,
        "serverVersion": version,
        "pluginVersion": VERSION,
        "clockAheadSeconds": round(ahead, 3),
    }
    added = f" Answered by {endpoint.address}, version {version}."
    if abs(ahead) > _CLOCKS_DIFFER:
        side = "ahead of" if ahead > 0 else "behind"
        added += (
            f" Warning: the clock of {endpoint.host} is {abs(ahead):.0f} s {side} Grafana's: "
            "panels that end now may lack the newest rows. Synchronize both clocks by NTP."
        )
    health.message += added
    if "verboseMessage" in details:
        details["verboseMessage"] += added
    health.jsonDetails = json.dumps(details).encode()


@contextmanager
def _failures() -> Iterator[None]:
    """Translate errors of the connection into those of the plugin layer."""
    try:
        yield
    except RemoteError as error:
        raise PluginError(str(error), status=error.status, source=ErrorSource.DOWNSTREAM) from None
    except AnsweredError as error:
        raise PassedStatusError(error.code, error.details) from None
