"""The package in a root folder without any library, as an ordinary user: it brings everything that it needs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from plugin_facts import program_name

from ceems_grpc.demo.database import write_demo_database
from tests.package.bare.hosted import PLUGINS, ask, hosted, rows, writable
from tests.package.bare.root import NOBODY, BareRoot, open_to_all
from tests.support.finished import finished

pytestmark = pytest.mark.go


@pytest.mark.parametrize("bare", [True, False], indirect=True, ids=["busybox", "empty"])
def test_it_answers_where_there_is_no_library(bare: BareRoot, sockets: Path) -> None:
    source = {"uid": "ceems", "json_data": {"path": "/data/ceems.db"}}
    with hosted(bare, sockets) as host:
        health = host.ask("health", user="admin", data_source=source)
        assert health["status"] == "OK", health
        assert "time zone Europe/Paris" in health["message"]
        units, usage = ask(
            host, source, {"queryType": "units", "admin": True}, {"queryType": "usage-over-time", "admin": True}
        )
        assert rows(units) == 594
        assert rows(usage) > 100
    assert host.exit == {"code": 0, "graceful": True}


def test_commands_need_no_proc(bare: BareRoot) -> None:
    program = f"{PLUGINS}/{program_name()}"
    assert "can answer from this database" in bare.run(program, "check", "/data/ceems.db")


def test_files_of_the_host_do_no_harm(bare: BareRoot, sockets: Path) -> None:
    """Neither Grafana's environment nor name service modules for another C library."""
    bare.write("/lib/x86_64-linux-gnu/libnss_broken.so.2", "no library\n")
    bare.write("/etc/nsswitch.conf", "hosts: broken [!UNAVAIL=return]\npasswd: broken\n")
    bare.write("/lib/host/libc.so.6", "no library\n")
    bare.write("/lib/host/libssl.so.3", "no library\n")
    environment = {"LD_LIBRARY_PATH": "/lib/host", "LD_PRELOAD": "/lib/host/libssl.so.3", "PYTHONPATH": "/lib/host"}
    source = {"uid": "ceems", "json_data": {"path": "/data/ceems.db"}}
    with hosted(bare, sockets, **environment) as host:
        assert host.ask("health", user="admin", data_source=source)["status"] == "OK"


def test_a_mirror_is_made_and_asked(bare: BareRoot, sockets: Path, tmp_path: Path) -> None:
    """A separate process fills the mirror, which the launcher must start as well."""
    folder = tmp_path / "large"
    folder.mkdir()
    write_demo_database(folder / "ceems.db", units=30_000, days=60)
    now = int((folder / "ceems.db").stat().st_mtime)
    open_to_all(folder)
    bare.seen["/large"] = folder
    cache = writable(tmp_path / "cache")
    bare.shared.append(cache)
    with sqlite3.connect(folder / "ceems.db") as connection:
        (admin,) = connection.execute("SELECT name FROM admin_users").fetchone()
    source = {"uid": "ceems", "json_data": {"path": "/large/ceems.db", "mirror": {"folder": str(cache)}}}
    with hosted(bare, sockets) as host:
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
        assert rows(answer) > 10
        assert "mirror" in str(answer["frames"][0]["meta"])


def test_it_runs_as_somebody_without_rights(bare: BareRoot, sockets: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("not tried as another user: only root can start a process as nobody")
    with hosted(bare, sockets) as host:
        status = Path("/proc", str(host.started["pid"]), "status").read_text()
        assert f"Uid:\t{NOBODY}\t{NOBODY}" in status
        assert "Seccomp:\t2" in status


def test_without_its_libraries_it_says_so(plugin_folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / program_name()
    shutil.copy(plugin_folder / program_name(), alone)
    done = finished([alone], env={})
    assert done.returncode == 127
    assert "The CEEMS plugin cannot start" in done.stderr
