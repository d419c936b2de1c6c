"""Starts real `ceems-grpc server` processes, and makes the settings with which a plugin reaches them."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bridge.authority import Authority, Pair
from tests.support.places import ROOT
from tests.support.plugin.ceems import CeemsPlugin
from tests.support.plugin.process import Asker, Plugin, close_pipes

CEEMS = (sys.executable, "-m", "ceems_grpc", "server")
ECHO = (sys.executable, "-m", "tests.bridge.echo_server")
_PATIENCE = 60.0  # seconds; long enough for a busy machine


@dataclass
class Files:
    """The files of a server: its own certificate, a token, and the authority whose clients it accepts."""

    folder: Path
    authority: Authority = field(default_factory=Authority)
    token: str = field(default_factory=lambda: secrets.token_hex(32))

    def __post_init__(self) -> None:
        self.write_pair(self.authority.issue("localhost", "127.0.0.1"))
        self.write_tokens(self.token)
        (self.folder / "ca.crt").write_text(self.authority.certificate)

    @property
    def tls(self) -> list[str]:
        return ["--tls-cert", str(self.folder / "server.crt"), "--tls-key", str(self.folder / "server.key")]

    @property
    def tokens(self) -> list[str]:
        return ["--token-file", str(self.folder / "tokens")]

    @property
    def client_ca(self) -> list[str]:
        return ["--client-ca", str(self.folder / "ca.crt")]

    def write_pair(self, pair: Pair) -> None:
        (self.folder / "server.crt").write_text(pair.certificate)
        self._write_private("server.key", pair.key)

    def write_tokens(self, *lines: str, mode: int = 0o600) -> None:
        self._write_private("tokens", "\n".join(lines) + "\n", mode)

    def _write_private(self, name: str, text: str, mode: int = 0o600) -> None:
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.chmod(mode)
        new.replace(self.folder / name)


class Server:
    """A server process that listens on ``port``; its log is read as it is written."""

    def __init__(self, command: Sequence[str], arguments: Sequence[str], port: int = 0) -> None:
        self._command = [*command, "--listen", f"127.0.0.1:{port}", *arguments]
        self.port = port
        self.log: list[dict[str, Any]] = []

    async def start(self) -> None:
        """Start the process and wait until it listens."""
        self._started = asyncio.Event()
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read())
        async with asyncio.timeout(_PATIENCE):
            await self._started.wait()
        if self.process.returncode is not None or not self.port:
            raise RuntimeError(f"the server did not start: {self.messages()[-3:]}")

    async def kill(self) -> None:
        """Kill the process without warning, as a power cut would."""
        self.process.kill()
        await self._ended()

    async def stop(self) -> int | None:
        """Stop the process as systemd does; return its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        await self._ended()
        return self.process.returncode

    def freeze_port(self) -> None:
        """Keep the port for all later starts."""
        at = self._command.index("--listen") + 1
        self._command[at] = f"127.0.0.1:{self.port}"

    def messages(self) -> list[str]:
        return [line["@message"] for line in self.log]

    async def _ended(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            await self.process.wait()
            await self._reading
        close_pipes(self.process)

    async def _read(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"@message": line.decode(errors="replace")}
            self.log.append(entry)
            if entry["@message"] == "server started":
                self.port = int(entry["address"].rpartition(":")[2])
                self._started.set()
        self._started.set()


@asynccontextmanager
async def serving(*arguments: str, command: Sequence[str] = CEEMS) -> AsyncIterator[Server]:
    """Run a server on a free port until the block ends."""
    server = Server(command, arguments)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@dataclass
class BridgedPlugin(CeemsPlugin):
    """Asks a running plugin about a data source that is configured with an address and secrets."""

    secure_json: dict[str, str] = field(default_factory=dict)
    uid: str = field(default_factory=lambda: secrets.token_hex(4))

    def asker(self, login: str | None, role: str = "Viewer") -> Asker:
        return Asker(login=login, role=role, uid=self.uid, json_data=self.json_data, secure_json=self.secure_json)


def bridged(
    plugin: Plugin, files: Files, port: int, secure: dict[str, str] | None = None, **settings: Any
) -> BridgedPlugin:
    """Make a new data source that reaches a server. ``secure`` are its secrets; None means token and authority."""
    secrets_given = {"token": files.token, "caCert": files.authority.certificate} if secure is None else secure
    return BridgedPlugin(plugin, {"address": f"localhost:{port}", **settings}, secure_json=secrets_given)
