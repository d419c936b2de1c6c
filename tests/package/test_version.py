"""The version is written in ceems_grpc/version.py alone; builds stamp it into everything else that shows it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from ceems_grpc.version import PLUGIN_ID, VERSION
from tests.support.finished import finished

ROOT = Path(__file__).parents[2]


def test_the_files_that_are_edited_by_hand_state_no_version() -> None:
    info = json.loads((ROOT / "plugin.json").read_text())["info"]
    assert (info["version"], info["updated"]) == ("%VERSION%", "%TODAY%")
    assert "version" not in json.loads((ROOT / "frontend" / "package.json").read_text())
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text())
    assert "version" not in lock
    assert "version" not in lock["packages"][""]
    assert re.search(r"^version\s*=", (ROOT / "pyproject.toml").read_text(), re.MULTILINE) is None


def test_plugin_json_and_the_program_have_the_same_id() -> None:
    assert json.loads((ROOT / "plugin.json").read_text())["id"] == PLUGIN_ID


def test_the_frontends_build_stamps_plugin_json() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("the frontend's stamping was not tried: Node.js is not installed")
    script = """
        const { stampPlugin } = require('./frontend/build/stampPlugin.js');
        process.stdout.write(stampPlugin(require('fs').readFileSync('plugin.json'), 'production'));
    """
    done = finished([node, "-e", script], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    stamped = json.loads(done.stdout)
    assert stamped["info"]["version"] == VERSION
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", stamped["info"]["updated"])
    assert stamped["buildMode"] == "production"
    assert "%" not in done.stdout
