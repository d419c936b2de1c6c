"""A small plugin host: starts the plugin as Grafana does, queries it over gRPC, and stops it as Grafana does."""

import json
import os
import select
import subprocess  # it starts this program itself  # nosec B404
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from ceems_grpc.cli.errors import CommandError
from ceems_grpc.pb import go_plugin_pb2, go_plugin_pb2_grpc, pluginv2_pb2, pluginv2_pb2_grpc
from ceems_grpc.version import PLUGIN_ID, VERSION

# The whole environment of the plugin: Grafana's magic cookie, and the version of its protocol.
_ENVIRONMENT = {"grafana_plugin_type": "datasource", "PLUGIN_PROTOCOL_VERSIONS": "2"}
_PACKAGE_FOLDER = Path(__file__).parents[2]
_PATIENCE_SECONDS = 20.0
_STOP_SECONDS = 8.0
_NO_LIMIT = [("grpc.max_receive_message_length", -1)]
_LAST_LINES = 20


class PluginHost:
    """A running plugin process with one data source; a context manager.

    ``settings``: the jsonData of the data source. ``login``: the user who asks, with the role Admin in Grafana. Every
    failure is a `CommandError` that ends with the log of the plugin.
    """

    def __init__(self, settings: Mapping[str, object], login: str) -> None:
        self._context = pluginv2_pb2.PluginContext(
            orgId=1,
            pluginId=PLUGIN_ID,
            pluginVersion=VERSION,
            user=pluginv2_pb2.User(login=login, name=login, role="Admin"),
            dataSourceInstanceSettings=pluginv2_pb2.DataSourceInstanceSettings(
                id=1,
                uid="demo",
                name="CEEMS",
                jsonData=json.dumps(settings).encode(),
                lastUpdatedMS=int(time.time() * 1000),
            ),
        )
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: grpc.Channel | None = None
        self.handshake = ""

    def __enter__(self) -> Self:
        """Start the plugin and connect to it."""
        # Python must not import modules from the working directory.
        self._process = subprocess.Popen(  # noqa: S603 - this program itself  # nosec B603
            _program(),
            cwd=_PACKAGE_FOLDER,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        try:
            self.handshake = self._read_handshake(self._process)
            core, protocol, network, address, kind = self.handshake.split("|")[:5]
            if (core, protocol, network, kind) != ("1", "2", "unix", "grpc"):
                raise self._failure(f"The plugin's handshake is not what Grafana expects: {self.handshake}")
            self._channel = grpc.insecure_channel(f"unix:{address}", options=_NO_LIMIT)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the plugin; kill it if it does not stop by itself."""
        self._end()

    def check_health(self) -> pluginv2_pb2.CheckHealthResponse:
        """Run the health check, as "Save & test" does."""
        stub = pluginv2_pb2_grpc.DiagnosticsStub(self._connected())  # type: ignore[no-untyped-call]
        request = pluginv2_pb2.CheckHealthRequest(pluginContext=self._context)
        return self._call(stub.CheckHealth, request)  # type: ignore[no-any-return]

    def query(self, query: Mapping[str, object], start: datetime, end: datetime) -> list[bytes]:
        """Run a panel's query over a time range. Return its frames, each an Arrow file."""
        stub = pluginv2_pb2_grpc.DataStub(self._connected())  # type: ignore[no-untyped-call]
        times = pluginv2_pb2.TimeRange(fromEpochMS=int(start.timestamp() * 1000), toEpochMS=int(end.timestamp() * 1000))
        asked = pluginv2_pb2.DataQuery(refId="A", timeRange=times, json=json.dumps(query).encode(), maxDataPoints=1000)
        request = pluginv2_pb2.QueryDataRequest(pluginContext=self._context, queries=[asked])
        answer = self._call(stub.QueryData, request).responses["A"]
        if answer.error:
            raise self._failure(f"The plugin answered with an error: {answer.error}")
        return list(answer.frames)

    def stop(self) -> int | None:
        """Ask the plugin to stop, as go-plugin does. Return its exit code, or None if it had to be killed."""
        process = self._process
        if process is None:
            return None
        if self._channel is not None and process.poll() is None:
            try:
                stub = go_plugin_pb2_grpc.GRPCControllerStub(self._channel)  # type: ignore[no-untyped-call]
                stub.Shutdown(go_plugin_pb2.Empty(), timeout=_STOP_SECONDS)
            except grpc.RpcError:
                process.terminate()
        try:
            return process.wait(_STOP_SECONDS if self._channel is not None else 0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None

    def _end(self) -> None:
        try:
            self.stop()
        finally:
            if self._channel is not None:
                self._channel.close()
            if self._process is not None and self._process.stdout is not None:
                self._process.stdout.close()
            self._log.close()

    def _connected(self) -> grpc.Channel:
        if self._channel is None:
            raise CommandError("The plugin is not running.")
        return self._channel

    def _call(self, method: Any, request: Any) -> Any:  # noqa: ANN401 - generated stubs have no types
        try:
            return method(request, timeout=_PATIENCE_SECONDS, wait_for_ready=True)
        except grpc.RpcError as error:
            raise self._failure(f"The plugin did not answer: {error.details()}") from None

    def _read_handshake(self, process: subprocess.Popen[bytes]) -> str:
        """Read the line that the plugin writes when it listens."""
        if process.stdout is None:
            raise CommandError("The plugin has no standard output.")
        line = b""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(process.stdout.fileno(), 4096) if ready else b""
            if not piece:
                why = "ended" if ready else f"said nothing for {_PATIENCE_SECONDS:.0f} s"
                raise self._failure(f"The plugin {why} before its handshake.")
            line += piece
        return line.decode(errors="replace").strip()

    def _failure(self, sentence: str) -> CommandError:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
        return CommandError("\n".join([sentence, "The plugin's log:", *(f"  {line}" for line in lines or ["(empty)"])]))


def _program() -> list[str]:
    """Return the command that starts this program as a plugin. A packaged program is its own executable."""
    return [sys.executable, "serve"] if getattr(sys, "frozen", False) else [sys.executable, "-m", "ceems_grpc", "serve"]
