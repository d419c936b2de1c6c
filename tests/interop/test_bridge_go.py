"""A data source on a server's address, under the real go-plugin and the real Grafana SDK."""

import asyncio
import sys
from pathlib import Path

from tests.support.bridge_servers import Files, serving
from tests.support.bridged_host import bridged_source, check_bridged_answers
from tests.support.go_host import PluginHost
from tests.support.places import ROOT, SYNTHETIC


async def test_frames_resources_and_streams_come_from_a_server(tmp_path: Path) -> None:
    files = Files(tmp_path)

    def check() -> None:
        with PluginHost((sys.executable, "-m", "ceems_grpc", "serve"), cwd=ROOT) as host:
            check_bridged_answers(host, bridged_source(files, server))
        assert host.exit == {"code": 0, "graceful": True}

    async with serving("--database", str(SYNTHETIC), *files.tls, *files.tokens) as server:
        await asyncio.to_thread(check)
