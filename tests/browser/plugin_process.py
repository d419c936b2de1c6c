"""The real plugin process, called from threads: the small server handles each request in its own thread."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import grpc
from google.protobuf.message import Message

from tests.support.places import ROOT
from tests.support.plugin.ceems import COMMAND
from tests.support.plugin.process import ENVIRONMENT, Handshake, start_call


class PluginProcess:
    """A running plugin, and a channel to it that all threads share."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def call(self, name: str, request: Message) -> Any:
        """Call a `Service.Method` with a single answer; raises grpc.RpcError."""
        return start_call(cast("Any", self._channel), name, request)

    def collect(self, name: str, request: Message) -> list[Any]:
        """Call a `Service.Method` that answers with a stream; wait for the end of the stream; raises grpc.RpcError."""
        return list(start_call(cast("Any", self._channel), name, request))


@contextmanager
def plugin_process(log: Path) -> Iterator[PluginProcess]:
    """Run the plugin until the block ends; its log goes to the file `log`."""
    with (
        log.open("wb") as standard_error,
        subprocess.Popen(
            COMMAND,
            env=ENVIRONMENT,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=standard_error,
        ) as process,
    ):
        assert process.stdout
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"no handshake: {log.read_text()}")
            with grpc.insecure_channel(Handshake.parse(line).target) as channel:
                yield PluginProcess(channel)
        finally:
            process.terminate()
