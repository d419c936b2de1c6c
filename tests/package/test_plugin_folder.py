"""How dist/ is assembled, and what the package states: version, date, platform, licences, C library."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from plugin.plugin_folder import make_plugin_folder
from plugin.plugin_rules import problems
from plugin_facts import package_date, platform_name, program_name
from program.plugin_licences import licence_texts

from ceems_grpc.version import VERSION
from tests.package.plugin_folders import write_frontend, write_program


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, Path]:
    """The results of the frontend's build and of PyInstaller."""
    frontend, programs = tmp_path / "frontend", tmp_path / "program"
    write_frontend(frontend)
    write_program(programs / program_name(), program_name())
    return frontend, programs


def test_version_date_and_dashboards_get_into_plugin_json(built: tuple[Path, Path], tmp_path: Path) -> None:
    frontend, programs = built
    (frontend / "dashboards" / "two.json").write_text('{"title": "The other"}')
    (frontend / ".built").touch()  # make's
    make_plugin_folder(tmp_path / "dist", frontend=frontend, programs=programs, date="2026-12-24")
    plugin = json.loads((tmp_path / "dist" / "plugin.json").read_text())
    assert (plugin["info"]["version"], plugin["info"]["updated"]) == (VERSION, "2026-12-24")
    assert plugin["includes"] == [
        {"type": "dashboard", "name": "One", "path": "dashboards/one.json"},
        {"type": "dashboard", "name": "The other", "path": "dashboards/two.json"},
    ]
    assert not (tmp_path / "dist" / ".built").exists()
    assert problems(tmp_path / "dist") == []


def test_programs_of_other_platforms_are_taken_along(built: tuple[Path, Path], tmp_path: Path) -> None:
    frontend, programs = built
    others = {"gpx_ceems_linux_arm64", "gpx_ceems_darwin_arm64", "gpx_ceems_linux_amd64"} - {program_name()}
    for other in others:
        write_program(programs / other, other)
    make_plugin_folder(tmp_path / "dist", frontend=frontend, programs=programs, date="2026-12-24")
    for name in {*others, program_name()}:
        assert os.access(tmp_path / "dist" / name, os.X_OK)
        assert (tmp_path / "dist" / f"{name}_libs" / "libc++.so.1").is_file()
    assert problems(tmp_path / "dist") == []


@pytest.mark.parametrize("missing", ["frontend", "program"])
def test_what_was_not_built_is_named(missing: str, built: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / missing)
    with pytest.raises(SystemExit, match=f"The {missing} was not built into .*: run make dist"):
        make_plugin_folder(tmp_path / "dist", frontend=built[0], programs=built[1], date="2026-12-24")


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux_amd64"),
        ("Linux", "aarch64", "linux_arm64"),
        ("Darwin", "arm64", "darwin_arm64"),
        ("Darwin", "x86_64", "darwin_amd64"),
    ],
)
def test_platforms_have_the_names_that_grafana_looks_for(system: str, machine: str, name: str) -> None:
    assert platform_name(system, machine) == name


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Linux", "riscv64")])
def test_other_platforms_are_refused(system: str, machine: str) -> None:
    with pytest.raises(SystemExit, match="use Linux or macOS"):
        platform_name(system, machine)


def test_the_date_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    assert package_date() == datetime(2026, 1, 1, tzinfo=UTC)


def test_licences_are_those_of_what_is_packaged() -> None:
    text = licence_texts("ceems-grpc", frozenset({"terminal"}))
    for library in ("adbc-driver-sqlite", "cffi", "cryptography", "duckdb", "grpcio", "pyarrow", "rich"):
        assert f"\n{library} " in text
    for tool in ("mypy", "pytest", "pyinstaller", "ceems-grpc"):
        assert f"\n{tool} " not in text
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in text
    assert "Apache License" in text
