"""The commands of the deployment pages, run as written (but see `set_up`), up to an answer in Grafana."""

import asyncio
import json
import re
import shutil
import stat
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # of another package's needs, without types

from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.settings import Settings
from ceems_grpc.settings.allowed_paths import PluginSettings
from ceems_grpc.store.sources import BridgeSource, FileSource, PostgresSource
from tests.package.set_up import Host, blocks, hosting
from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import COMMAND, CeemsPlugin, ceems_plugin
from tests.support.plugin.process import running as running_plugin
from tests.support.ports import free_port
from tests.support.postgres.feeding import feed_once
from tests.support.postgres.servers import PASSWORD, SUPERUSER, Server, running

WINDOW = (1_763_000_000_000, 1_767_300_000_000)
MODEL = {"queryType": "usage", "admin": True, "groupBy": ["cluster_id", "username"]}
_PATIENCE = 60.0

pytestmark = pytest.mark.skipif(
    shutil.which("unzip") is None or shutil.which("openssl") is None,
    reason="the set-ups were not tried: unzip or openssl is not installed",
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """Return a separate server for this module: the pages create roles and databases in it."""
    with running() as server:
        yield server


async def answer(ceems: CeemsPlugin) -> list[dict[str, Any]]:
    """Check that the data source is healthy, and return the rows of a question."""
    request = pb.CheckHealthRequest(pluginContext=ceems.asker("admin").context())
    health = await ceems.plugin.call("Diagnostics.CheckHealth", request)
    assert health.status == pb.CheckHealthResponse.OK, health.message
    rows = (await ceems.table("dave", MODEL, WINDOW, role="Admin")).to_pylist()
    return sorted(rows, key=lambda row: (row["cluster_id"], row["project"], row["username"]))


def check_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Check that rows are the same except for the last digits of sums, which depend on the order of the summands."""
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        numbers = {name: value for name, value in wanted.items() if isinstance(value, float)}
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, rel=1e-9)
        assert row | numbers == wanted


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    """Return the rows that the file itself gives."""

    async def ask() -> list[dict[str, Any]]:
        async with ceems_plugin(SYNTHETIC, adminRole="Admin") as ceems:
            return await answer(ceems)

    rows = asyncio.run(ask())
    assert len(rows) > 3
    return rows


def without_limits(ceems: CeemsPlugin) -> CeemsPlugin:
    """Return the data source with an administrator's role, so that it shows rows."""
    ceems.json_data["adminRole"] = "Admin"
    return ceems


async def test_the_same_host(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    with hosting(tmp_path) as host:
        printed = [host.run(block) for block in blocks("deploy.md")]
        assert any("the plugin can answer from this database" in text for text in printed)
        assert host.restarted() == ["ceems_api_server", "grafana-server", "grafana-server"]
        assert (tmp_path / "etc/systemd/system/grafana-server.service.d/ceems.conf").is_file()
        async with host.grafana() as ceems:
            check_same(await answer(without_limits(ceems)), expected)
            ceems.json_data["path"] = str(SYNTHETIC)
            response = (await ceems.query("dave", {"A": MODEL}, WINDOW, role="Admin"))["A"]
            assert "allowed_paths" in response.error


async def test_a_server_on_another_host(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    port = free_port()
    replaced = {
        r"0\.0\.0\.0:9443": f"127.0.0.1:{port}",
        r"ceems-host\.example\.org:9443": f"localhost:{port}",
        r"ceems-host\.example\.org": "localhost",
        r"/var/cache/ceems-grpc": str(tmp_path / "cache"),
    }
    with hosting(tmp_path, replaced) as host:
        for block in blocks("deploy-bridge.md"):
            host.run(block)
        assert host.secret("etc/ceems-grpc/tokens") == host.secret("etc/grafana/ceems-token")
        assert len(host.secret("etc/ceems-grpc/tokens")) == 64
        assert stat.S_IMODE((tmp_path / "etc/ceems-grpc/server.key").stat().st_mode) == 0o640
        async with host.grafana() as ceems:
            check_same(await answer(without_limits(ceems)), expected)
            ceems.secure_json["token"] = "0" * 64
            response = (await ceems.query("dave", {"A": MODEL}, WINDOW, role="Admin"))["A"]
            assert "token" in response.error
        assert host.restarted() == ["ceems_api_server", "grafana-server"]


@pytest.mark.postgres
async def test_postgresql(tmp_path: Path, postgres: Server, expected: list[dict[str, Any]]) -> None:
    metrics = free_port()
    replaced = {
        r"db\.example\.org:5432": f"127.0.0.1:{postgres.port}",
        r"sslmode=require": "sslmode=disable",
        r"127\.0\.0\.1:9105": f"127.0.0.1:{metrics}",
    }
    with hosting(tmp_path, replaced, superuser(postgres)) as host:
        for block in blocks("deploy-postgres.md"):
            host.run(block)
        assert (tmp_path / "home/passwords.psql").stat().st_mode & 0o777 == 0o600
        await fed(metrics, host)
        async with host.grafana() as ceems:
            check_same(await answer(without_limits(ceems)), expected)
        roles = postgres.rows("SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'ceems%' AND rolsuper")
        assert roles == []


async def fed(port: int, host: Host) -> None:
    """Wait until the feeder's metrics say that PostgreSQL is up to date with the file."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            text = await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/metrics")
            (lag,) = (line for line in text.splitlines() if line.startswith("ceems_feed_lag_seconds{"))
            if float(lag.split()[-1]) == 0.0:
                return
        except (OSError, ValueError):
            pass
        assert time.monotonic() < until, host.logs()
        await asyncio.sleep(0.1)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        return bytes(response.read()).decode()


def superuser(server: Server) -> dict[str, str]:
    """Return the environment in which psql connects as the superuser, as user postgres does on a real host."""
    return {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": SUPERUSER, "PGPASSWORD": PASSWORD}


@pytest.mark.postgres
async def test_postgresql_on_several_servers(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    with ExitStack() as stack:
        coordinator = stack.enter_context(running())
        shards = {name: stack.enter_context(running()) for name in ("shard1", "shard2")}
        ports = " ".join(f"{name}) echo {server.port};;" for name, server in shards.items())
        replaced = {
            r"host=\$shard\.example\.org": "host=127.0.0.1",
            r"port=5432": f"port=$(case $shard in {ports} esac)",
        }
        host = stack.enter_context(hosting(tmp_path, replaced))
        host.run(blocks("deploy-postgres.md")[0].partition("sudo -u postgres createdb")[0])
        on_all, on_a_shard, on_the_coordinator, *_ = blocks("scale.md")
        for server in (coordinator, *shards.values()):
            host.run(on_all, **superuser(server))
        for name, server in shards.items():
            host.run(on_a_shard.replace("--on shard1", f"--on {name}"), **superuser(server))
        host.run(on_the_coordinator, **superuser(coordinator))
        passwords = dict(re.findall(r"set (\w+)_password (\w+)", (tmp_path / "home/passwords.psql").read_text()))
        feeder, reader = (coordinator.url("ceems", f"ceems_{role}") for role in ("feeder", "reader"))
        await asyncio.to_thread(feed_once, SYNTHETIC, feeder, password=passwords["feeder"], site="main")
        async with running_plugin(COMMAND) as plugin:
            settings = {"postgres": reader, "adminRole": "Admin"}
            ceems = CeemsPlugin(plugin, settings, {"postgresPassword": passwords["reader"]})
            check_same(await answer(ceems), expected)
        (example,) = blocks("scale.md", "sql")
        plan = coordinator.psql(example, "ceems", "ceems_reader", password=passwords["reader"])
        wanted = [line.removeprefix("--").strip(" ->") for line in example.splitlines() if line.startswith("--")]
        assert len(wanted) == 3
        assert [line for line in wanted if line not in plan] == []


def test_the_settings_of_many_sources_are_ones_that_the_plugin_accepts() -> None:
    first, *_ = blocks("sources.md", "yaml")
    (source,) = yaml.safe_load(first)["datasources"]
    secure = source["secureJsonData"]
    settings = Settings.from_json(json.dumps(source["jsonData"]).encode(), PluginSettings(), secure)
    file, bridge, postgres = settings.sources
    assert isinstance(file, FileSource)
    assert isinstance(bridge, BridgeSource)
    assert isinstance(postgres, PostgresSource)
    assert (bridge.secrets.token, bridge.secrets.ca_cert) == (secure["site-b.token"], secure["site-b.caCert"])
    assert postgres.password == secure["history.postgresPassword"]
