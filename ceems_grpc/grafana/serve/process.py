"""The life of a plugin process: start, handshake, work, and a clean end in every case."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from ceems_grpc.grafana.backend.datasource import Factory
from ceems_grpc.grafana.serve.garbage import freeze_libraries
from ceems_grpc.grafana.serve.handshake import HandshakeError, Host, handshake_line
from ceems_grpc.grafana.serve.instances import InstanceManager
from ceems_grpc.grafana.serve.parent_watch import watch_parent
from ceems_grpc.grafana.serve.server import make_server
from ceems_grpc.grafana.serve.socket_file import (
    allow_group,
    creating_socket,
    remove_socket,
    socket_path,
    until_socket_lost,
)
from ceems_grpc.grafana.serve.standalone import is_standalone, standalone_address
from ceems_grpc.grafana.serve.stdout import take_standard_output
from ceems_grpc.grafana.serve.telemetry.logs import start_logging
from ceems_grpc.grafana.serve.telemetry.tracing import start_tracing, stop_tracing
from ceems_grpc.grafana.serve.threads import share_fairly

_log = logging.getLogger(__name__)

# go-plugin kills a plugin two seconds after asking it to stop.
_GRACE_SECONDS = 1.0
_CLOSE_SECONDS = 0.5
_FLUSH_SECONDS = 0.4
# Work that cannot be interrupted, such as a long query inside a C library, must not delay the end for longer.
_LAST_RESORT_SECONDS = 5.0


async def serve_plugin(factory: Factory, *, name: str, version: str, plugin_id: str = "") -> int:
    """Run a plugin until its host stops it or is gone; return the process's exit code.

    ``factory`` makes a data source from its settings. ``name`` appears in the message for somebody who starts the
    process by hand. ``plugin_id`` (by default the name) is the service name of its traces. What code prints goes to
    standard error, because standard output belongs to the host. Call it in the main thread, once per process. The
    module ``standalone`` explains how to run the plugin in a debugger.
    """
    share_fairly()
    try:
        standalone = standalone_address(os.environ)
        if is_standalone(os.environ):
            return await _serve_standalone(factory, standalone, name=plugin_id or name, version=version)
        host = Host.from_environment(os.environ, name=name)
    except HandshakeError as error:
        print(error, file=sys.stderr)  # noqa: T201 a person reads it
        return 1
    output = take_standard_output()
    start_logging(os.environ)
    try:
        if standalone:
            await _point_to(standalone, output)
            return 0
        with socket_path(host.socket_folder) as path:
            stopping = _stop_when_told(path)
            instances = InstanceManager(factory)
            server = await make_server(instances, stopping)
            async with _listening(server, host, path) as (certificate, sockets):
                os.write(output, handshake_line("unix", str(path), certificate))
                # Not earlier: the host need not wait for the libraries that tracing loads.
                start_tracing(os.environ, name=plugin_id or name, version=version)
                freeze_libraries()
                _log.info("plugin started", extra={"plugin": name, "version": version})
                lost = await _stopped_or_lost(stopping, sockets)
                _exit_later(path)
                await server.stop(_GRACE_SECONDS)
            await _end(instances)
    except BrokenPipeError:
        _log.warning("the host is gone; the plugin ends")
        return 1
    except HandshakeError as error:
        _log.error("the plugin cannot start: %s", error)
        return 1
    _log.info("plugin stopped")
    return 1 if lost else 0


async def _stopped_or_lost(stopping: asyncio.Event, sockets: Sequence[Path]) -> bool:
    """Wait until the host stops the plugin or one of its sockets is lost; return whether one is lost.

    In the second case the plugin ends: Grafana starts a process again that has ended, but not one that it cannot reach.
    """
    lost = asyncio.create_task(until_socket_lost(sockets))
    lost.add_done_callback(lambda _: stopping.set())
    await stopping.wait()
    if not lost.done():
        lost.cancel()
        return False
    _log.error(
        "the plugin ends, so that Grafana starts it again: its socket was removed. "
        "Exclude the socket's folder from the cleaning of temporary files.",
        extra={"sockets": [str(path) for path in sockets]},
    )
    return True


async def _serve_standalone(factory: Factory, address: str, *, name: str, version: str) -> int:
    start_logging(os.environ)
    start_tracing(os.environ, name=name, version=version)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    instances = InstanceManager(factory)
    server = await make_server(instances, stopping, go_plugin=False)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise HandshakeError(f"The plugin cannot listen on {address}: {error}") from error
    await server.start()
    freeze_libraries()
    _log.info("plugin runs by itself", extra={"address": address})
    await stopping.wait()
    await server.stop(_GRACE_SECONDS)
    await _end(instances)
    return 0


async def _point_to(address: str, output: int) -> None:
    """Give the host the address of a plugin that runs by itself, and stay as long as the host does."""
    stopping = _stop_when_told(None)
    os.write(output, handshake_line("tcp", address))
    _log.warning("requests go to the plugin that runs by itself", extra={"address": address})
    await stopping.wait()


def _stop_when_told(path: Path | None) -> asyncio.Event:
    """Return the event that stops the plugin. SIGTERM and the end of the parent set it."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def parent_gone() -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended already.
            loop.call_soon_threadsafe(stopping.set)
        _exit_later(path)

    # A terminal sends SIGINT to both the host and us. The host decides what it means.
    loop.add_signal_handler(signal.SIGINT, lambda: _log.debug("interrupt ignored"))
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    watch_parent(parent_gone)
    return stopping


@asynccontextmanager
async def _listening(server: grpc.aio.Server, host: Host, path: Path) -> AsyncIterator[tuple[bytes, Sequence[Path]]]:
    """Open the socket at ``path``; yield our certificate in DER (empty without TLS), and all sockets in use."""
    if not host.client_certificate:
        with creating_socket(path):
            server.add_insecure_port(f"unix:{path}")
        allow_group(path, host.socket_group)
        await server.start()
        yield b"", [path]
        return
    from ceems_grpc.grafana.serve.tls import Identity, tls_front  # noqa: PLC0415 Grafana asks for no TLS; importing it takes 0.1 s

    identity = Identity()
    with socket_path(None) as inner, socket.socket(socket.AF_UNIX) as listener:
        with creating_socket(inner):
            server.add_insecure_port(f"unix:{inner}")
        with creating_socket(path):
            listener.bind(str(path))
        allow_group(path, host.socket_group)
        await server.start()
        async with tls_front(listener, inner, identity, host.client_certificate):
            yield identity.certificate, [path, inner]


async def _end(instances: InstanceManager) -> None:
    """Close the data sources, and send the last spans at the same time."""
    await asyncio.gather(_close(instances), asyncio.to_thread(stop_tracing, _FLUSH_SECONDS))


async def _close(instances: InstanceManager) -> None:
    try:
        await asyncio.wait_for(instances.close(), _CLOSE_SECONDS)
    except TimeoutError:
        _log.warning("a data source took too long to close")


def _exit_later(path: Path | None) -> None:
    """End the process after a while, even if some of its work does not end."""

    def end() -> None:
        time.sleep(_LAST_RESORT_SECONDS)
        if path:
            remove_socket(path)
        os._exit(1)

    threading.Thread(target=end, name="last resort", daemon=True).start()
