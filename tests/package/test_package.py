"""The zip alone, unpacked elsewhere: its contents, and the answers of its program without Python on the host."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin.plugin_rules import problems
from plugin_facts import BUILD, libraries_name, program_name
from program.c_library import loader_name

from ceems_grpc.version import VERSION
from tests.support.finished import finished
from tests.support.go_host import PluginHost
from tests.support.places import ROOT, SYNTHETIC

SOURCE = {"uid": "ceems", "json_data": {"path": str(SYNTHETIC)}}
YEAR = {"from_ms": 1_735_689_600_000, "to_ms": 1_767_225_600_000}


@pytest.fixture(scope="module")
def program(plugin_folder: Path) -> Path:
    return plugin_folder / program_name()


@pytest.fixture(scope="module")
def host(plugin_folder: Path, program: Path) -> Iterator[PluginHost]:
    with PluginHost([program], cwd=plugin_folder) as running:
        yield running


def _ask(host: PluginHost, *models: dict[str, Any]) -> list[dict[str, Any]]:
    queries = [{"ref_id": ref_id, "model": model, **YEAR} for ref_id, model in zip("ABCD", models, strict=False)]
    responses = host.ask("query", user="admin", data_source=SOURCE, queries=queries)["responses"]
    return [responses[query["ref_id"]] for query in queries]


def _run(*command: object, cwd: Path) -> str:
    done = finished([str(part) for part in command], cwd=cwd, env={})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_zip_is_what_the_installer_wants(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        assert archive.testzip() is None
    assert {name.split("/")[0] for name in names} == {"ceems-ceems-datasource"}
    assert names == sorted(names)
    for name, mode in modes.items():
        assert stat.S_ISDIR(mode) if name.endswith("/") else stat.S_ISREG(mode), name
    folders = {f"{parent.as_posix()}/" for name in names for parent in Path(name).parents} - {"./"}
    assert folders == {name for name in names if name.endswith("/")}
    assert modes[f"ceems-ceems-datasource/{program_name()}"] & 0o777 == 0o755
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    assert package.with_name(f"{package.name}.sha256").read_text() == f"{digest}  {package.name}\n"


def test_grafana_can_load_the_folder(plugin_folder: Path) -> None:
    assert problems(plugin_folder) == []
    plugin = json.loads((plugin_folder / "plugin.json").read_text())
    assert plugin["info"]["version"] == VERSION
    assert {path.name for path in (plugin_folder / "dashboards").iterdir()} == {
        path.name for path in (ROOT / "dashboards").glob("*.json")
    }
    licences = (plugin_folder / f"{program_name()}_libs" / "LICENSES.txt").read_text()
    for library in (
        "Python",
        "pyarrow",
        "duckdb",
        "grpcio",
        "cryptography",
        "tzdata",
        *(["libc6", "zlib1g"] if shutil.which("dpkg-query") else []),
    ):
        assert f"\n{library} " in licences


@pytest.mark.go
def test_health_units_and_usage_come_from_the_package(host: PluginHost) -> None:
    health = host.ask("health", user="admin", data_source=SOURCE)
    assert health["status"] == "OK"
    assert "600 units on 4 clusters" in health["message"]
    units, usage = _ask(host, {"queryType": "units", "admin": True}, {"queryType": "usage", "admin": True})
    assert not units.get("error"), units
    assert units["frames"][0]["rows"] == 594
    assert not usage.get("error"), usage
    counted = next(field for field in usage["frames"][0]["fields"] if field["name"] == "num_units")
    assert sum(counted["values"]) > 500


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows which files a process has open (/proc)")
@pytest.mark.go
def test_it_uses_no_file_of_the_host(host: PluginHost, plugin_folder: Path) -> None:
    _ask(host, {"queryType": "usage", "admin": True}, {"queryType": "usage-over-time", "admin": True})
    process = Path("/proc", str(host.started["pid"]))
    mapped = {line.split(maxsplit=5)[5] for line in (process / "maps").read_text().splitlines() if "/" in line}
    opened = {str(link.readlink()) for link in (process / "fd").iterdir()}
    foreign = {
        path
        for path in mapped | {path for path in opened if path.startswith("/")}
        if not Path(path).is_relative_to(plugin_folder) and not path.startswith((str(SYNTHETIC), "/dev/", "/proc/"))
    }
    assert foreign == set()
    environment = (process / "environ").read_bytes().split(b"\0")
    assert not [value for value in environment if value.startswith((b"PATH=", b"HOME=", b"LANG=", b"PYTHON"))]


def test_it_answers_where_there_is_no_python(plugin_folder: Path, program: Path, tmp_path: Path) -> None:
    """For this process alone, empty folders hide every Python of the host, its time zones and these sources."""
    unshare = shutil.which("unshare")
    if unshare is None or finished([unshare, "-rm", "true"]).returncode:
        pytest.skip("not tried without Python on the host: this system lets no process have mounts of its own")
    database = tmp_path / "ceems.db"
    shutil.copyfile(SYNTHETIC, database)
    hidden = {sys.base_prefix, sys.prefix, str(ROOT), "/usr/share/zoneinfo", "/usr/lib/python3", "/usr/local"}
    if Path(sys.base_prefix) == Path("/usr"):
        hidden = hidden - {sys.base_prefix} | {f"/usr/lib/python3.{sys.version_info.minor}"}
    mounts = [f"mount -t tmpfs none '{folder}'" for folder in sorted(hidden, reverse=True) if Path(folder).is_dir()]
    script = " && ".join([*mounts, f"! test -e '{sys.executable}'", 'exec env -i "$@"'])
    usage = _run(
        *(unshare, "-rm", "/bin/sh", "-euc", script, "sh", program),
        *("query", database, "--type", "usage", "--mode", "global", "--group-by", "cluster_id,project,username"),
        *("--user", "admin", "--admin", "--format", "csv"),
        cwd=plugin_folder,
    )
    assert len(usage.splitlines()) > 100
    checked = _run(unshare, "-rm", "/bin/sh", "-euc", script, "sh", program, "check", database, cwd=plugin_folder)
    assert "Europe/Paris" in checked
    assert "OK          the plugin can answer" in checked


@pytest.mark.go
def test_mutual_tls_is_in_the_package(plugin_folder: Path, program: Path) -> None:
    with PluginHost([program], cwd=plugin_folder, auto_mtls=True) as host:
        assert host.ask("health", user="admin", data_source=SOURCE)["status"] == "OK"
    assert host.exit == {"code": 0, "graceful": True}


def test_a_folder_with_any_letters_in_its_name_will_do(plugin_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "Greifswälder Straße 10%" / "ceems"
    shutil.copytree(plugin_folder, copy)
    database = tmp_path / "données é.db"
    shutil.copyfile(SYNTHETIC, database)
    answer = _run(copy / program_name(), "check", database, cwd=Path("/"))
    assert "données é.db" in answer


@pytest.mark.parametrize("command", [("--version",), ("query", SYNTHETIC, "--type", "stats", "--mode", "global")])
def test_commands_answer_as_they_do_from_the_sources(
    command: tuple[object, ...], program: Path, tmp_path: Path
) -> None:
    packaged = _run(program, *command, cwd=tmp_path)
    assert packaged == _run(sys.executable, "-m", "ceems_grpc", *command, cwd=ROOT)


def test_by_hand_it_says_what_it_is(program: Path, tmp_path: Path) -> None:
    done = finished([program], cwd=tmp_path, env={})
    assert (done.returncode, done.stdout) == (1, "")
    assert "Grafana" in done.stderr


def test_the_libraries_of_the_package_can_be_used(plugin_folder: Path) -> None:
    """Above all duckdb and the ADBC driver, which look for their own files when they are imported or opened."""
    check = BUILD / "pyinstaller" / "ceems" / "check_libraries"
    if not check.is_file():
        pytest.skip(
            "the package's libraries were not tried: it was made on another machine (make package makes it here)"
        )
    libraries = plugin_folder / libraries_name(program_name()) if sys.platform == "linux" else plugin_folder
    shutil.copy(check, libraries)
    loader = [libraries / loader_name(), "--library-path", libraries] if sys.platform == "linux" else []
    try:
        answer = json.loads(_run(*loader, libraries / check.name, SYNTHETIC, cwd=plugin_folder))
    finally:
        (libraries / check.name).unlink()
    counts = [["k8s-0", 48], ["os-0", 70], ["slurm-0", 343], ["slurm-1", 139]]
    read = {"duckdb": counts, "pyarrow": counts, "dataset": 48, "json": [[2.5]], "paris": "2:00:00"}
    assert answer == {**read, "libpq": True, "exporter": "OTLPSpanExporter"}
