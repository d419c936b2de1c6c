"""The package in a root folder without any library, where the database is elsewhere: TLS, host names, PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from plugin_facts import program_name

from tests.package.bare.hosted import PLUGINS, ask, hosted, rows
from tests.package.bare.names import ADDRESS, naming
from tests.package.bare.root import BareRoot
from tests.support.bridge_servers import Files, serving
from tests.support.finished import finished
from tests.support.places import SYNTHETIC
from tests.support.postgres.feeding import feed_once
from tests.support.postgres.servers import PASSWORD, Server, empty_database, server

__all__ = ["empty_database", "server"]
pytestmark = pytest.mark.go
NAME = "ceems-host.example.org"
UNITS = {"queryType": "units", "admin": True}
USAGE = {"queryType": "usage", "admin": True}


@contextmanager
def _named(root: BareRoot, how: str) -> Iterator[list[str]]:
    """Make the host known in the root, by files or by DNS; yield the names that were requested by DNS."""
    if how == "files":
        root.write("/etc/hosts", f"127.0.0.1 {NAME}\n")
        yield [NAME]
    else:
        root.write("/etc/resolv.conf", f"nameserver {ADDRESS}\noptions timeout:5 attempts:2\n")
        with naming(NAME) as asked:
            yield asked


def _check(root: BareRoot, source: dict[str, Any], sockets: Path) -> None:
    with hosted(root, sockets) as host:
        health = host.ask("health", user="admin", data_source=source)
        assert health["status"] == "OK", health
        assert "600 units on 4 clusters" in health["message"]
        units, usage = ask(host, source, UNITS, USAGE)
        assert rows(units) == 594
        assert rows(usage) > 10


@pytest.mark.parametrize("how", ["files", "dns"])
async def test_a_server_is_reached_by_name_with_tls(bare: BareRoot, sockets: Path, how: str, tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write_pair(files.authority.issue(NAME))
    async with serving("--database", str(SYNTHETIC), *files.tls, *files.tokens) as remote:
        source = {
            "uid": "there",
            "json_data": {"address": f"{NAME}:{remote.port}"},
            "secure_json": {"token": files.token, "caCert": files.authority.certificate},
        }
        with _named(bare, how) as asked:
            await asyncio.to_thread(_check, bare, source, sockets)
        assert NAME in asked


@pytest.mark.postgres
@pytest.mark.parametrize("how", ["files", "dns"])
def test_postgresql_is_reached_by_name(
    bare: BareRoot, sockets: Path, how: str, server: Server, empty_database: str
) -> None:
    feed_once(SYNTHETIC, server.url(empty_database), password=PASSWORD, site="main")
    source = {
        "uid": "postgres",
        "json_data": {"postgres": server.url(empty_database).replace("127.0.0.1", NAME)},
        "secure_json": {"postgresPassword": PASSWORD},
    }
    with _named(bare, how) as asked:
        _check(bare, source, sockets)
    assert NAME in asked


def test_a_program_that_is_linked_to_musl_starts_it(bare: BareRoot, tmp_path: Path) -> None:
    """As on Alpine: the host's only C library is musl, and a program that uses it starts the plugin."""
    compiler, loader = shutil.which("musl-gcc"), Path("/lib/ld-musl-x86_64.so.1")
    if compiler is None or not loader.exists():
        pytest.skip("a root with musl was not tried: musl-gcc is not installed (Debian: musl-tools)")
    source = tmp_path / "starter.c"
    source.write_text(
        textwrap.dedent("""\
            #include <unistd.h>
            int main(int count, char **arguments) { (void)count; return execv(arguments[1], arguments + 1); }
        """)
    )
    starter = bare.folder / "usr" / "bin" / "starter"
    starter.parent.mkdir(parents=True)
    assert finished([compiler, "-o", starter, source]).returncode == 0
    (bare.folder / "lib").mkdir()
    shutil.copy(loader.resolve(), bare.folder / "lib" / loader.name)
    (bare.folder / "lib" / "libc.musl-x86_64.so.1").symlink_to(loader.name)
    checked = bare.run("/usr/bin/starter", f"{PLUGINS}/{program_name()}", "check", "/data/ceems.db")
    assert "can answer from this database" in checked
