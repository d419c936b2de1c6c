"""`make grafana`: the configuration that it writes, its message without a Grafana, and a clean shutdown.

A small server stands in for a running Grafana: it listens where grafana.ini says, as Grafana does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # of another package's needs, without types
from grafana.grafana_home import GrafanaError, configure, find_grafana
from plugin_facts import program_name

from tests.package.plugin_folders import write_frontend, write_program
from tests.support.finished import finished
from tests.support.places import ROOT

SCRIPT = ("-m", "grafana.run_grafana")
SCRIPTS = str(ROOT / "packaging")
_SERVER = """\
    #!{python}
    import configparser, http.server, signal, sys
    config = next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--config="))
    ini = configparser.RawConfigParser()
    ini.read(config)
    log = open(ini["paths"]["logs"] + "/grafana.log", "w")
    print("arguments", sys.argv[1:], file=log, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    {more}
    address = (ini["server"]["http_addr"], int(ini["server"]["http_port"]))
    http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folders of an unpacked Grafana."""
    return _write_home(tmp_path / "grafana")


def _write_home(folder: Path, more: str = "pass", program: str = "grafana") -> Path:
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "defaults.ini").touch()
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "api").mkdir(exist_ok=True)
    (folder / "api" / "health").touch()
    path = folder / "bin" / program
    path.write_text(textwrap.dedent(_SERVER).format(python=sys.executable, more=more))
    path.chmod(0o755)
    return folder


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A plugin's folder whose program runs these sources."""
    folder = tmp_path / "dist"
    write_frontend(folder)
    script = f'#!/bin/sh\nexec env PYTHONPATH="{ROOT}" "{sys.executable}" -m ceems_grpc "$@"\n'
    write_program(folder, program_name(), script)
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(*options: object, temporary: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *SCRIPT, *map(str, options)]
    return finished(command, env={"TMPDIR": str(temporary), "PYTHONPATH": SCRIPTS, **environment}, timeout=60)


@contextmanager
def _running(*options: object, temporary: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {"TMPDIR": str(temporary), "PYTHONPATH": SCRIPTS, "GRAFANA_HOME": str(home)}
    pipe = subprocess.PIPE
    # With SIGINT ignored, as when a shell script starts a program in the background.
    command = ["/bin/sh", "-c", 'trap "" INT; exec "$0" "$@"', sys.executable, *SCRIPT, *map(str, options)]
    process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)
    try:
        yield process
    finally:
        process.terminate()  # and with it its child processes, which would keep the pipes open
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _folder_of(temporary: Path) -> Path:
    (folder,) = temporary.glob("ceems-grafana-*")
    return folder


def test_without_grafana_it_says_how_to_get_one(tmp_path: Path) -> None:
    done = _run(temporary=tmp_path, PATH="/nonexistent")
    assert (done.returncode, done.stdout) == (1, "")
    for way in ("https://grafana.com/grafana/download", "GRAFANA_HOME=", "docker compose -f deploy/compose.yaml up"):
        assert way in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_grafana_home_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(GrafanaError, match=f"{tmp_path}, which has no conf/defaults.ini"):
        find_grafana({"GRAFANA_HOME": str(tmp_path), "PATH": ""})
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "defaults.ini").touch()
    with pytest.raises(GrafanaError, match=f"{tmp_path}, which has no bin/grafana"):
        find_grafana({"GRAFANA_HOME": str(tmp_path), "PATH": ""})


def test_grafana_is_found_by_its_home_and_by_path(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "grafana.ini"
    by_home = find_grafana({"GRAFANA_HOME": str(home)})
    assert by_home.command(config) == [
        str(home / "bin" / "grafana"),
        "server",
        f"--homepath={home}",
        f"--config={config}",
    ]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "grafana").symlink_to(home / "bin" / "grafana")
    assert find_grafana({"PATH": str(tmp_path / "bin")}) == by_home
    older = _write_home(tmp_path / "older", program="grafana-server")
    assert find_grafana({"PATH": str(older / "bin")}).command(config) == [
        str(older / "bin" / "grafana-server"),
        f"--homepath={older}",
        f"--config={config}",
    ]


def test_a_plugin_that_was_not_built_is_told(home: Path, tmp_path: Path) -> None:
    done = _run("--plugin", tmp_path, "--port", _free_port(), temporary=tmp_path, GRAFANA_HOME=str(home))
    assert done.returncode == 1
    assert done.stderr == f"There is no {tmp_path / program_name()}: run make dist first.\n"


def test_a_port_in_use_is_told(home: Path, plugin: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _run("--plugin", plugin, "--port", port, temporary=tmp_path, GRAFANA_HOME=str(home))
    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in done.stderr


def test_grafana_gets_the_plugin_its_data_and_nothing_from_the_network(plugin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    database = tmp_path / "cost $5" / "ceems.db"
    config = configure(folder, plugin=plugin, database=database, port=3456, user="admin", password="s#cret;%")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    ini = RawConfigParser()
    ini.read(config)
    assert (ini["server"]["http_addr"], ini["server"]["http_port"]) == ("127.0.0.1", "3456")
    assert (ini["security"]["admin_user"], ini["security"]["admin_password"]) == ("admin", "s#cret;%")
    assert ini["auth.anonymous"]["enabled"] == "false"
    assert ini["plugins"]["allow_loading_unsigned_plugins"] == "ceems-ceems-datasource"
    assert ini["plugin.ceems-ceems-datasource"]["allowed_paths"] == str(database.parent)
    assert (Path(ini["paths"]["plugins"]) / "ceems-ceems-datasource" / "plugin.json").samefile(plugin / "plugin.json")
    for name in ("data", "logs", "plugins", "provisioning"):
        assert Path(ini["paths"][name]).is_dir()
        assert Path(ini["paths"][name]).parent == folder
    provisioning = Path(ini["paths"]["provisioning"])
    (source,) = yaml.safe_load((provisioning / "datasources" / "ceems.yaml").read_text())["datasources"]
    assert source["type"] == "ceems-ceems-datasource"
    # Grafana's form of a dollar sign that begins no variable.
    assert source["jsonData"] == {"path": str(database).replace("$", "$$")}
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "ceems.yaml").read_text())["providers"]
    assert Path(provider["options"]["path"]).samefile(plugin / "dashboards")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_stopped_and_leaves_nothing(
    number: signal.Signals, home: Path, plugin: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    port = _free_port()
    with _running("--plugin", plugin, "--port", port, "--units", 200, temporary=temporary, home=home) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert first, process.stderr.read()  # no output: it has ended
        assert first == f"Grafana: http://127.0.0.1:{port}/dashboards  user admin, password admin\n"
        assert process.stdout.readline() == "Ctrl-C stops it.\n"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health") as answer:
            assert answer.status == 200
        folder = _folder_of(temporary)
        assert (folder / "ceems" / "ceems.db").read_bytes().startswith(b"SQLite format 3\0")
        assert "'server'" in (folder / "logs" / "grafana.log").read_text()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        assert "Traceback" not in err
    assert list(temporary.iterdir()) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_grafana_that_fails_is_told_with_the_end_of_its_log(home: Path, plugin: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    _write_home(home, more='print("the disk is full", file=log, flush=True); sys.exit(3)')
    database = tmp_path / "ceems.db"
    database.touch()
    done = _run(
        *("--plugin", plugin, "--port", _free_port(), "--database", database, "--keep"),
        temporary=temporary,
        GRAFANA_HOME=str(home),
    )
    assert done.returncode == 1
    assert "Grafana ended with code 3 as it started" in done.stderr
    assert "the disk is full" in done.stderr
    folder = _folder_of(temporary)
    assert str(folder) in done.stdout
    source = json.loads((folder / "provisioning" / "datasources" / "ceems.yaml").read_text())["datasources"][0]
    assert source["jsonData"]["path"] == str(database)
    assert not os.path.lexists(folder / "ceems")
