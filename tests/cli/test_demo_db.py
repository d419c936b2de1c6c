import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command import ceems_grpc, in_terminal


def _count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM units").fetchone()[0])


def test_writes_what_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "demo.db"
    done = ceems_grpc("demo-db", path, "--units", "150", "--days", "10", "--users", "5", "--zone", "Asia/Tokyo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "150 units" in done.stdout
    assert _count(path) == 150
    checked = ceems_grpc("check", path)
    assert "Asia/Tokyo" in checked.stdout


def test_shows_a_bar_in_a_terminal(tmp_path: Path) -> None:
    written = in_terminal("demo-db", tmp_path / "demo.db", "--units", "2500")
    assert "Writing units" in written
    assert "2500/2500" in written


def test_overwrites_only_when_told_to(database: Path, tmp_path: Path) -> None:
    path = tmp_path / "demo.db"
    path.write_bytes(database.read_bytes())
    refused = ceems_grpc("demo-db", path, "--units", "100")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"ceems-grpc demo-db: {path} exists: choose another path, or give --overwrite.\n"
    assert _count(path) == 800
    assert ceems_grpc("demo-db", path, "--units", "100", "--overwrite").returncode == 0
    assert _count(path) == 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing/demo.db"], "There is no folder missing"),
        (["."], "is a folder"),
        (["demo.db", "--units", "3"], "3 units are too few"),
        (["demo.db", "--zone", "Mars/Base"], "Unknown time zone 'Mars/Base'"),
        (["demo.db", "--days", "0"], "0 days are too few"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = ceems_grpc("demo-db", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_says_that_it_may_not_write(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    done = ceems_grpc("demo-db", open_folder / "demo.db", "--units", "100", unprivileged=True)
    open_folder.chmod(0o755)
    assert done.returncode == 1
    assert "cannot be written: Permission denied." in done.stderr
