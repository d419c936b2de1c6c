"""The sources for Grafana's validator: package.json, which states the version, and src are at the top."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from plugin.validator_sources import write_validator_sources

from ceems_grpc.version import VERSION
from tests.support.places import ROOT


def test_package_json_is_where_the_validator_looks(tmp_path: Path) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the validator's sources were not made: this is no clone")
    (tmp_path / "old").mkdir()
    write_validator_sources(tmp_path)
    package = json.loads((tmp_path / "package.json").read_text())
    assert package["version"] == VERSION
    assert package["name"] == json.loads((ROOT / "plugin.json").read_text())["id"]
    assert (tmp_path / "package-lock.json").is_file()
    assert (tmp_path / "ceems_grpc" / "version.py").is_file()
    assert (tmp_path / "src" / "module.ts").is_file()
    assert not (tmp_path / "old").exists()
