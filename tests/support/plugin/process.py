"""Starts plugins as Grafana does and calls them over gRPC, for all tests that need a real plugin process."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ceems_grpc.pb import go_plugin_pb2, pluginv2_pb2
from tests.support.places import ROOT

ECHO = (sys.executable, "-m", "tests.support.plugin.echo")
# Everything that Grafana passes besides its own GF_ settings.
ENVIRONMENT = {
    "grafana_plugin_type": "datasource",
    "PLUGIN_PROTOCOL_VERSIONS": "2",
    "PLUGIN_MIN_PORT": "10000",
    "PLUGIN_MAX_PORT": "25000",
    "GF_VERSION": "13.1.0",
}
_PATIENCE = 60.0  # seconds; long enough for a busy machine


@dataclass
class Handshake:
    """The parts of the line that a plugin writes."""

    core: str
    protocol: str
    network: str
    address: str
    kind: str
    certificate: str

    @classmethod
    def parse(cls, line: bytes) -> "Handshake":
        return cls(*line.decode().rstrip("\n").split("|"))

    @property
    def target(self) -> str:
        return f"unix:{self.address}" if self.network == "unix" else self.address

    @property
    def certificate_der(self) -> bytes:
        return base64.b64decode(self.certificate + "=" * (-len(self.certificate) % 4))


class Plugin:
    """A running plugin: its process, its log so far and a channel to it."""

    def __init__(self, process: asyncio.subprocess.Process, handshake: Handshake) -> None:
        self.process = process
        self.handshake = handshake
        self.standard_error = bytearray()
        self.patience = _PATIENCE  # seconds that a call may take
        self._reading: asyncio.Task[None] | None = None
        self.channel = grpc.aio.insecure_channel(
            handshake.target,
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )

    async def call(self, name: str, request: Message, **metadata: str) -> Any:
        """Call a `Service.Method` with a single answer; `_` in names of metadata becomes `-`."""
        return await self.start(name, request, **metadata)

    async def collect(self, name: str, request: Message, **metadata: str) -> list[Any]:
        """Call a `Service.Method` that answers with a stream; wait for the end of the stream."""
        return [answer async for answer in self.start(name, request, **metadata)]

    def start(self, name: str, request: Message, **metadata: str) -> Any:
        """Start a call; the result is gRPC's call object."""
        return start_call(self.channel, name, request, self.patience, **metadata)

    def log(self) -> list[dict[str, Any]]:
        """Return what the plugin has logged so far."""
        return [json.loads(line) for line in self.standard_error.splitlines() if line.startswith(b"{")]

    async def ended(self) -> int:
        """Wait for the process to end; return its exit code."""
        async with asyncio.timeout(_PATIENCE):
            code = await self.process.wait()
            if self._reading:
                await self._reading
            return code

    def read_standard_error(self) -> None:
        """Keep reading what the plugin logs, as Grafana does."""

        async def read() -> None:
            assert self.process.stderr
            while data := await self.process.stderr.read(65536):
                self.standard_error += data

        self._reading = asyncio.create_task(read())


def start_call(
    channel: grpc.aio.Channel, name: str, request: Message, patience: float = _PATIENCE, **metadata: str
) -> Any:
    """Start a call of `Service.Method`, of Grafana's or of go-plugin's protocol."""
    method = method_of(name)
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = make(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    sent = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
    return call(request, timeout=patience, metadata=sent)


def method_of(name: str) -> MethodDescriptor:
    """Find `Service.Method`, of Grafana's or of go-plugin's protocol."""
    service, _, method = name.partition(".")
    for file in (pluginv2_pb2.DESCRIPTOR, go_plugin_pb2.DESCRIPTOR):
        if service in file.services_by_name:
            return file.services_by_name[service].methods_by_name[method]
    raise LookupError(name)


async def spawn(
    command: Sequence[str] = ECHO, environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start a plugin's process with nothing but `environment` around it."""
    return await asyncio.create_subprocess_exec(
        *command,
        env=dict(ENVIRONMENT if environment is None else environment),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def close_pipes(process: asyncio.subprocess.Process) -> None:
    """Close the pipes of a process that has ended: they may still be open when the event loop ends."""
    process._transport.close()  # type: ignore[attr-defined]


@asynccontextmanager
async def running(command: Sequence[str] = ECHO, environment: Mapping[str, str] | None = None) -> AsyncIterator[Plugin]:
    """Run a plugin until the block ends; `environment` is added to what Grafana passes."""
    process = await spawn(command, {**ENVIRONMENT, **(environment or {})})
    assert process.stdout
    assert process.stderr
    try:
        async with asyncio.timeout(_PATIENCE):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"no handshake: {(await process.stderr.read()).decode()}")
        plugin = Plugin(process, Handshake.parse(line))
        plugin.read_standard_error()
        try:
            yield plugin
        finally:
            await plugin.channel.close()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        close_pipes(process)


@dataclass
class Asker:
    """Makes plugin contexts: `login` None is a request without a user."""

    login: str | None = "alice"
    role: str = "Viewer"
    uid: str = "uid1"
    name: str = "source"
    org_id: int = 1
    json_data: Mapping[str, Any] = field(default_factory=dict)
    secure_json: Mapping[str, str] = field(default_factory=dict)
    updated_ms: int = 1_700_000_000_000

    def context(self) -> pluginv2_pb2.PluginContext:
        user = pluginv2_pb2.User(login=self.login, role=self.role) if self.login is not None else None
        return pluginv2_pb2.PluginContext(
            orgId=self.org_id,
            pluginId="echo",
            user=user,
            dataSourceInstanceSettings=pluginv2_pb2.DataSourceInstanceSettings(
                id=1,
                uid=self.uid,
                name=self.name,
                jsonData=json.dumps(self.json_data).encode(),
                decryptedSecureJsonData=self.secure_json,
                lastUpdatedMS=self.updated_ms,
            ),
        )

    def queries(self, form: pluginv2_pb2.DataFrameFormat = pluginv2_pb2.ARROW, **models: Any) -> Any:
        """Make a QueryDataRequest of query models by refId."""
        return pluginv2_pb2.QueryDataRequest(
            pluginContext=self.context(), format=form, queries=[_query(*item) for item in models.items()]
        )

    def chunked(self, form: pluginv2_pb2.DataFrameFormat = pluginv2_pb2.ARROW, **models: Any) -> Any:
        """Make a QueryChunkedDataRequest of query models by refId."""
        return pluginv2_pb2.QueryChunkedDataRequest(
            pluginContext=self.context(), format=form, queries=[_query(*item) for item in models.items()]
        )

    def resource(self, path: str, query: str = "", **rest: Any) -> pluginv2_pb2.CallResourceRequest:
        """Make a request for a path with a query string."""
        return pluginv2_pb2.CallResourceRequest(
            pluginContext=self.context(), path=path, method="GET", url=f"{path}?{query}", **rest
        )


def _query(ref_id: str, model: Mapping[str, Any]) -> pluginv2_pb2.DataQuery:
    return pluginv2_pb2.DataQuery(
        refId=ref_id,
        json=json.dumps(model).encode(),
        maxDataPoints=100,
        intervalMS=1000,
        timeRange=pluginv2_pb2.TimeRange(fromEpochMS=1_676_934_000_000, toEpochMS=1_677_538_800_000),
    )


def lines(file: Path) -> list[str]:
    """Read the lines of a file; none if the file does not exist yet."""
    return file.read_text().splitlines() if file.exists() else []


def alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
