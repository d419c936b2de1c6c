"""The files of a release are in one folder, with checksums that sha256sum reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from release.release_files import collect_release

from tests.support.finished import finished


def test_files_are_copied_with_their_checksums(tmp_path: Path) -> None:
    files = [tmp_path / "b" / "plugin.zip", tmp_path / "a" / "package.whl"]
    for file in files:
        file.parent.mkdir()
        file.write_text(file.name)
    target = tmp_path / "release"
    target.mkdir()
    (target / "old.zip").touch()
    sums = collect_release(target, files)
    assert sorted(path.name for path in target.iterdir()) == ["SHA256SUMS", "package.whl", "plugin.zip"]
    assert [line.split("  ")[1] for line in sums.read_text().splitlines()] == ["package.whl", "plugin.zip"]
    if shutil.which("sha256sum") is None:
        pytest.skip("the checksums were not checked: sha256sum is not installed")
    assert finished(["sha256sum", "--check", "SHA256SUMS"], cwd=target).returncode == 0
    (target / "plugin.zip").write_text("other")
    assert finished(["sha256sum", "--check", "SHA256SUMS"], cwd=target).returncode == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"plugin\.zip is missing"):
        collect_release(tmp_path / "release", [tmp_path / "plugin.zip"])
