"""What `make reproducible` reports as a difference between two builds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from release.reproducible import differences

from tests.package.plugin_folders import write_plugin

_PROGRAM = "gpx_ceems_linux_amd64"


def test_equal_builds_do_not_differ(tmp_path: Path) -> None:
    one = write_plugin(tmp_path / "one")
    shutil.copytree(one, tmp_path / "other")
    assert differences(one, tmp_path / "other") == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda folder: (folder / "module.js").write_text("DEFINE"), "module.js"),
        (lambda folder: (folder / "LICENSE").unlink(), "LICENSE"),
        (lambda folder: (folder / "new").touch(), "new"),
        (lambda folder: (folder / _PROGRAM).chmod(0o644), _PROGRAM),
    ],
)
def test_a_file_that_changed_is_named(change: Callable[[Path], object], name: str, tmp_path: Path) -> None:
    one = write_plugin(tmp_path / "one")
    shutil.copytree(one, tmp_path / "other")
    change(tmp_path / "other")
    assert differences(one, tmp_path / "other") == [name]
    assert differences(tmp_path / "other", one) == [name]
