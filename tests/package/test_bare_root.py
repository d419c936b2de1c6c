"""The package in a root folder without any library, as an ordinary user: all that it needs, it brings along."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from plugin_facts import program_name

from ceems_grpc.demo.database import write_demo_database
from tests.package.bare_root import NOBODY, BareRoot, new_root, open_to_all
from tests.support.go_host import PluginHost
from tests.support.places import ROOT

DATABASE = ROOT / "tests" / "golden" / "synthetic.db"

pytestmark = pytest.mark.go
YEAR = {"from_ms": 1_735_689_600_000, "to_ms": 1_767_225_600_000}
# What Grafana 12.4 gives to a plugin's process; go-plugin adds its own.
GRAFANA = {"GF_VERSION": "12.4.0", "GF_EDITION": "OSS", "GF_INSTANCE_FEATURE_TOGGLES_ENABLE": ""}
PLUGINS = "/données/plug ins/ceems-ceems-datasource"  # any letters


@pytest.fixture
def bare(plugin_folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> BareRoot:
    """A root with the plugin, a database and, where asked, busybox; nothing else."""
    root = new_root(tmp_path / "root", busybox=getattr(request, "param", True))
    database = tmp_path / "data" / "ceems.db"
    database.parent.mkdir()
    shutil.copyfile(DATABASE, database)
    for folder in (plugin_folder, database.parent):
        open_to_all(folder)
    root.seen = {PLUGINS: plugin_folder, "/data": database.parent}
    return root


def _shared(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


@contextmanager
def _host(root: BareRoot, sockets: Path, **environment: str) -> Iterator[PluginHost]:
    root.shared.append(sockets)
    command = root.command(f"{PLUGINS}/{program_name()}")
    env = {**GRAFANA, "PLUGIN_UNIX_SOCKET_DIR": str(sockets), **environment}
    with PluginHost(command, env=env) as running:
        yield running


def _ask(host: PluginHost, source: dict[str, Any], *models: dict[str, Any], user: str = "admin") -> list[Any]:
    queries = [{"ref_id": ref_id, "model": model, **YEAR} for ref_id, model in zip("ABCD", models, strict=False)]
    responses = host.ask("query", user=user, data_source=source, queries=queries)["responses"]
    return [responses[query["ref_id"]] for query in queries]


def _rows(response: dict[str, Any]) -> int:
    assert not response.get("error"), response
    return sum(frame["rows"] for frame in response["frames"])


@pytest.mark.parametrize("bare", [True, False], indirect=True, ids=["busybox", "empty"])
def test_it_answers_where_there_is_no_library(bare: BareRoot, tmp_path: Path) -> None:
    source = {"uid": "ceems", "json_data": {"path": "/data/ceems.db"}}
    with _host(bare, _shared(tmp_path, "sockets")) as host:
        health = host.ask("health", user="admin", data_source=source)
        assert health["status"] == "OK", health
        assert "time zone Europe/Paris" in health["message"]
        units, usage = _ask(
            host, source, {"queryType": "units", "admin": True}, {"queryType": "usage-over-time", "admin": True}
        )
        assert _rows(units) == 594
        assert _rows(usage) > 100
    assert host.exit == {"code": 0, "graceful": True}


def test_commands_need_no_proc(bare: BareRoot) -> None:
    program = f"{PLUGINS}/{program_name()}"
    assert "can answer from this database" in bare.run(program, "check", "/data/ceems.db")


def test_files_of_the_host_do_no_harm(bare: BareRoot, tmp_path: Path) -> None:
    """What Grafana was started with, and modules for names that were made for another C library."""
    bare.write("/lib/x86_64-linux-gnu/libnss_broken.so.2", "no library\n")
    bare.write("/etc/nsswitch.conf", "hosts: broken [!UNAVAIL=return]\npasswd: broken\n")
    bare.write("/lib/host/libc.so.6", "no library\n")
    bare.write("/lib/host/libssl.so.3", "no library\n")
    environment = {"LD_LIBRARY_PATH": "/lib/host", "LD_PRELOAD": "/lib/host/libssl.so.3", "PYTHONPATH": "/lib/host"}
    source = {"uid": "ceems", "json_data": {"path": "/data/ceems.db"}}
    with _host(bare, _shared(tmp_path, "sockets"), **environment) as host:
        assert host.ask("health", user="admin", data_source=source)["status"] == "OK"


def test_a_mirror_is_made_and_asked(bare: BareRoot, tmp_path: Path) -> None:
    """The mirror is filled by a process of its own, which the launcher has to start as well."""
    folder = tmp_path / "large"
    folder.mkdir()
    write_demo_database(folder / "ceems.db", units=30_000, days=60)
    now = int((folder / "ceems.db").stat().st_mtime)
    open_to_all(folder)
    bare.seen["/large"] = folder
    cache = _shared(tmp_path, "cache")
    bare.shared.append(cache)
    with sqlite3.connect(folder / "ceems.db") as connection:
        (admin,) = connection.execute("SELECT name FROM admin_users").fetchone()
    source = {"uid": "ceems", "json_data": {"path": "/large/ceems.db", "mirror": {"folder": str(cache)}}}
    with _host(bare, _shared(tmp_path, "sockets")) as host:
        deadline = time.monotonic() + 120
        while True:
            health = host.ask("health", user=admin, data_source=source)
            if health["details"]["mirror"] == "fresh":
                break
            assert time.monotonic() < deadline, host.log_text()
            time.sleep(0.5)
        month = {"from_ms": (now - 30 * 86_400) * 1000, "to_ms": now * 1000}
        query = {"ref_id": "A", "model": {"queryType": "usage", "admin": True}, **month}
        answer = host.ask("query", user=admin, data_source=source, queries=[query])["responses"]["A"]
        assert _rows(answer) > 10
        assert "mirror" in str(answer["frames"][0]["meta"])


def test_it_runs_as_somebody_without_rights(bare: BareRoot, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("not tried as another user: only root can start a process as nobody")
    with _host(bare, _shared(tmp_path, "sockets")) as host:
        status = Path("/proc", str(host.started["pid"]), "status").read_text()
        assert f"Uid:\t{NOBODY}\t{NOBODY}" in status
        assert "Seccomp:\t2" in status


def test_without_its_libraries_it_says_so(plugin_folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / program_name()
    shutil.copy(plugin_folder / program_name(), alone)
    done = subprocess.run([alone], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert "The CEEMS plugin cannot start" in done.stderr
