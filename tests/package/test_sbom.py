"""The SBOM is valid CycloneDX, the same each time, and lists what is in the package."""

from __future__ import annotations

import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from program.c_library import loader_name, system_library
from release.sbom import make_sbom

from ceems_grpc.version import PLUGIN_ID, VERSION
from tests.support.places import ROOT


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / loader_name()).touch()
    sources = ["webpack://ceems/./module.ts", "webpack://ceems/../node_modules/@grafana/plugin-ui/dist/esm/index.mjs"]
    (tmp_path / "module.js.map").write_text(json.dumps({"sources": sources}))
    first, again = (
        JsonV1Dot6(make_sbom(tmp_path / "libs", tmp_path / "module.js.map")).output_as_string(indent=2) for _ in "12"
    )
    assert first == again
    return first


def test_it_keeps_to_the_schema(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_it_lists_what_is_in_the_package(text: str) -> None:
    bom: dict[str, Any] = json.loads(text)
    assert (bom["metadata"]["component"]["name"], bom["metadata"]["component"]["version"]) == (PLUGIN_ID, VERSION)
    assert bom["metadata"]["timestamp"].startswith("2026-01-01T00:00:00")
    urls = {component["purl"] for component in bom["components"]}
    for library in ("duckdb", "grpcio", "pyarrow", "rich"):
        assert f"pkg:pypi/{library}@{version(library)}" in urls
    npm = json.loads((ROOT / "frontend" / "package.json").read_text())["dependencies"]
    assert f"pkg:npm/%40grafana/plugin-ui@{npm['@grafana/plugin-ui']}" in urls
    names = {component["name"] for component in bom["components"]}
    assert "python" in names
    assert not names & {"mypy", "pytest", "pyinstaller", "ceems-grpc", "react"}
    if shutil.which("dpkg-query") and system_library(loader_name()):
        system = platform.freedesktop_os_release()["ID"]
        assert any(url.startswith(f"pkg:deb/{system}/libc6@") for url in urls)


def test_it_says_what_needs_what(text: str) -> None:
    bom: dict[str, Any] = json.loads(text)
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in bom["dependencies"]}
    needed = [
        name.partition("@")[0] for name in needs[f"pkg:pypi/grpcio-health-checking@{version('grpcio-health-checking')}"]
    ]
    assert set(needed) == {"pkg:pypi/grpcio", "pkg:pypi/protobuf"}
    assert f"pkg:pypi/duckdb@{version('duckdb')}" in needs[f"{PLUGIN_ID}@{VERSION}"]
