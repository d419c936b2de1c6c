"""The server process on the host of the database, which answers the requests that plugins forward."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from ceems_grpc.bridge.gate import Gate
from ceems_grpc.bridge.hello import HelloService
from ceems_grpc.bridge.listening import ListenAddress, ListenError
from ceems_grpc.bridge.notify import notify
from ceems_grpc.bridge.server_tls import TlsFiles, server_credentials
from ceems_grpc.bridge.tokens import TokenFile
from ceems_grpc.grafana.serve.garbage import freeze_libraries
from ceems_grpc.grafana.serve.instances import Instances
from ceems_grpc.grafana.serve.server import plugin_services

_log = logging.getLogger(__name__)

_GRACE_SECONDS = 5.0
_MOST_CALLS = 1000
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How to listen, and which clients to accept.

    ``tls``: None means plain text, for loopback only. ``token_file``: None means that no token is required.
    ``client_names``: a client's certificate must have one of these names; empty means any name. The sizes of messages
    are in MiB.
    """

    listen: ListenAddress
    tls: TlsFiles | None
    token_file: Path | None
    client_names: frozenset[str] = frozenset()
    largest_request: int = 16
    largest_answer: int = 512

    def check(self) -> None:
        """Raise `ListenError` for settings without encryption or authentication."""
        if self.tls is None and not self.listen.is_loopback:
            raise ListenError(
                "Plain text is only for loopback addresses (127.0.0.1, ::1): give --tls-cert and --tls-key."
            )
        if self.token_file is None and (self.tls is None or self.tls.client_ca is None):
            raise ListenError("Clients would not be authenticated: give --token-file or --client-ca, or both.")
        if self.client_names and (self.tls is None or self.tls.client_ca is None):
            raise ListenError("--client-name requires --client-ca: it checks names in the certificates of clients.")


async def run_server(
    settings: ServerSettings, instances: Instances, further: Sequence[grpc.GenericRpcHandler] = ()
) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ListenError` or `SecretFileError` if the server cannot start.

    ``instances`` answer the plugin's own services. ``further``: services behind the same gate.
    """
    settings.check()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    tokens = TokenFile(settings.token_file) if settings.token_file else None
    handlers = [*plugin_services(instances, stopping), HelloService().handler(), *further]
    server = _make_server(settings, Gate(tokens, settings.client_names), handlers)
    await _add_health(server)
    address = _listen(server, settings)
    await server.start()
    freeze_libraries()
    _log.info("server started", extra={"address": address.target, "pid": os.getpid()})
    notify(f"READY=1\nSTATUS=listening on {address.target}")
    await stopping.wait()
    notify("STOPPING=1")
    # Streams end by themselves now. Short questions still get an answer.
    await server.stop(_GRACE_SECONDS)
    _log.info("server stopped")


def _make_server(settings: ServerSettings, gate: Gate, handlers: Sequence[grpc.GenericRpcHandler]) -> grpc.aio.Server:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", settings.largest_request * _MEBIBYTE),
        ("grpc.max_send_message_length", settings.largest_answer * _MEBIBYTE),
        # Two servers must not share the requests to one address.
        ("grpc.so_reuseport", 0),
        # Plugins ping every 20 seconds (`ceems_grpc.store.remote.connection`).
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # For clients that connect and send nothing.
        ("grpc.server_handshake_timeout_ms", 10_000),
    ]
    server = grpc.aio.server(interceptors=[gate], options=options, maximum_concurrent_rpcs=_MOST_CALLS)
    server.add_generic_rpc_handlers(list(handlers))
    return server


async def _add_health(server: grpc.aio.Server) -> None:
    servicer = health.aio.HealthServicer()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def _listen(server: grpc.aio.Server, settings: ServerSettings) -> ListenAddress:
    target = settings.listen.target
    try:
        if settings.tls is None:
            return settings.listen.at(server.add_insecure_port(target))
        return settings.listen.at(server.add_secure_port(target, server_credentials(settings.tls)))
    except RuntimeError:
        raise ListenError(f"Cannot listen on {target}: the address is in use, or not one of this host's.") from None
