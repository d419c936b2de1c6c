"""The packaged program in its other roles: as a server or a feeder on the host of the database."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from plugin_facts import program_name

from tests.support.bridge_servers import Files, serving
from tests.support.bridged_host import LOCAL, YEAR, bridged_source, check_bridged_answers
from tests.support.collector import collecting
from tests.support.compare import same
from tests.support.finished import finished
from tests.support.go_host import PluginHost
from tests.support.places import SYNTHETIC
from tests.support.postgres.servers import PASSWORD, Server, empty_database, server

__all__ = ["empty_database", "server"]
pytestmark = pytest.mark.go
USAGE = {"ref_id": "A", "model": {"queryType": "usage", "admin": True}, **YEAR}


@pytest.fixture(scope="module")
def program(plugin_folder: Path) -> Path:
    return plugin_folder / program_name()


def _usage(host: PluginHost, source: dict[str, Any]) -> list[list[Any]]:
    response = host.ask("query", user="admin", data_source=source, queries=[USAGE])["responses"]["A"]
    assert not response.get("error"), response
    return [field["values"] for field in response["frames"][0]["fields"]]


async def test_it_is_the_server_too(program: Path, tmp_path: Path) -> None:
    files = Files(tmp_path)

    def check() -> None:
        with PluginHost([program], cwd=program.parent) as host:
            check_bridged_answers(host, bridged_source(files, remote))

    arguments = ("--database", str(SYNTHETIC), *files.tls, *files.tokens)
    async with serving(*arguments, command=(str(program), "server")) as remote:
        await asyncio.to_thread(check)


@pytest.mark.postgres
def test_it_feeds_postgresql_and_answers_from_there(
    program: Path, server: Server, empty_database: str, tmp_path: Path
) -> None:
    database = Path(shutil.copy(SYNTHETIC, tmp_path / "ceems.db"))
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_text(PASSWORD)
    where = ("--database", database, "--to", server.url(empty_database), "--site", "here", "--timezone", "Europe/Paris")
    done = finished([program, "feed", *where, "--password-file", secret, "--once"], cwd=program.parent, env={})
    assert done.returncode == 0, done.stderr
    source = {
        "uid": "postgres",
        "json_data": {"postgres": server.url(empty_database)},
        "secure_json": {"postgresPassword": PASSWORD},
    }
    with PluginHost([program], cwd=program.parent) as host:
        assert "600 units" in host.ask("health", user="admin", data_source=source)["message"]
        wanted, found = _usage(host, LOCAL), _usage(host, source)
    assert len(found[0]) > 10
    assert same(found, wanted)


async def test_it_sends_spans(program: Path) -> None:
    async with collecting() as collector:
        environment = {
            "GF_INSTANCE_OTLP_ADDRESS": collector.address,
            "GF_INSTANCE_OTLP_SAMPLER_TYPE": "const",
            "GF_INSTANCE_OTLP_SAMPLER_PARAM": "1",
        }

        def ask() -> None:
            with PluginHost([program], cwd=program.parent, env=environment) as host:
                _usage(host, LOCAL)

        await asyncio.to_thread(ask)
        (whole,) = await collector.until("queryData")
        assert whole.attributes["grafana.datasource.uid"] == LOCAL["uid"]
        assert collector.named("statement database")
