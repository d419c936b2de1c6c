"""A zip has the contents of the folder, with execute permissions, and the same bytes whenever it is made."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin.plugin_zip import write_zip

from tests.support.finished import finished

_WHEN = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)
_NAMES = st.from_regex(r"\A([a-z]{1,3}/){0,2}[a-z]{1,3}\.txt\Z")
_FILES = st.dictionaries(_NAMES, st.tuples(st.binary(max_size=300), st.booleans()), min_size=1, max_size=6)


def _fill(folder: Path, files: dict[str, tuple[bytes, bool]], names: list[str]) -> Path:
    for name in names:
        content, executable = files[name]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o700 if executable else 0o600)
    return folder


@settings(max_examples=25, deadline=None)
@given(files=_FILES)
def test_the_same_files_give_the_same_zip(files: dict[str, tuple[bytes, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        first = _fill(top / "first", files, sorted(files))
        again = _fill(top / "again", files, sorted(files, reverse=True))
        for path in again.rglob("*"):
            os.utime(path, (1, 1))
        digest = write_zip(first, top / "first.zip", top="plugin", when=_WHEN)
        assert write_zip(again, top / "again.zip", top="plugin", when=_WHEN) == digest
        with zipfile.ZipFile(top / "first.zip") as archive:
            folders = {f"{parent.as_posix()}/" for name in files for parent in Path("plugin", name).parents} - {"./"}
            assert archive.namelist() == sorted({f"plugin/{name}" for name in files} | folders)
            for name in folders:
                assert archive.getinfo(name).is_dir()
                assert archive.getinfo(name).external_attr >> 16 == 0o040755
                assert archive.getinfo(name).date_time == (2026, 11, 23, 12, 34, 56)
            for name, (content, executable) in files.items():
                entry = archive.getinfo(f"plugin/{name}")
                assert archive.read(entry) == content
                assert entry.external_attr >> 16 == (0o100755 if executable else 0o100644)
                assert entry.date_time == (2026, 11, 23, 12, 34, 56)


@pytest.mark.parametrize("command", ["unzip", "busybox unzip"])
def test_unzip_makes_programs_that_run(command: str, tmp_path: Path) -> None:
    """Also busybox's unzip, which an init container in Kubernetes uses."""
    unzip = command.split()
    if shutil.which(unzip[0]) is None:
        pytest.skip(f"{unzip[0]} is not installed: it did not unpack the zip")
    program = tmp_path / "plugin" / "gpx_ceems_linux_amd64"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho it runs\n")
    program.chmod(0o700)
    write_zip(program.parent, tmp_path / "plugin.zip", top="ceems", when=_WHEN)
    assert finished([*unzip, "-q", tmp_path / "plugin.zip", "-d", tmp_path / "out"]).returncode == 0
    answer = finished([tmp_path / "out" / "ceems" / program.name])
    assert answer.stdout == "it runs\n"


def test_the_checksum_is_one_that_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("content")
    target = tmp_path / "build" / "plugin-1.0.0.zip"
    digest = write_zip(tmp_path / "in", target, top="plugin", when=_WHEN)
    assert digest == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (target.parent / "plugin-1.0.0.zip.sha256").read_text() == f"{digest}  plugin-1.0.0.zip\n"
    assert sorted(path.name for path in target.parent.iterdir()) == ["plugin-1.0.0.zip", "plugin-1.0.0.zip.sha256"]


@pytest.mark.parametrize(
    ("when", "stored"),
    [
        (datetime(2026, 11, 23, 1, 0, tzinfo=timezone(timedelta(hours=2))), (2026, 11, 22, 23, 0, 0)),
        (datetime(1970, 1, 1, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
    ],
)
def test_dates_are_utc_and_none_is_before_a_zip_can_say(
    when: datetime, stored: tuple[int, ...], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("content")
    write_zip(tmp_path / "in", tmp_path / "out.zip", top="plugin", when=when)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert [entry.date_time for entry in archive.infolist()] == [stored, stored]
