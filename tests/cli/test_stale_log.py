"""`ceems-grpc check` warns of a log that was left next to a backup, but not of a database's own log."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ceems_grpc.cli.stale_log import is_stale
from tests.support.command import ceems_grpc


def make(path: Path, rows: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE t (a)")
    for row in range(rows):
        connection.execute("INSERT INTO t VALUES (?)", [f"{path.name} {row} " * 50])
    return connection


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def later(path: Path, log: Path) -> None:
    """Make the file newer than its log, as a checkpoint does."""
    written = log.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(written, written))


def test_a_log_that_is_not_folded_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "ceems.db"
    with closing(make(path, 50)):
        assert not is_stale(path, log_of(path))


@pytest.mark.parametrize("readers", [False, True], ids=["the whole log", "up to an older reader"])
def test_a_folded_log_is_its_own(tmp_path: Path, readers: bool) -> None:
    path = tmp_path / "ceems.db"
    with closing(make(path, 50)) as writer, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        if readers:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM t").fetchall()
        writer.execute("UPDATE t SET a = a || 'new' WHERE rowid > 40")
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
        later(path, log_of(path))
        assert not is_stale(path, log_of(path))


@pytest.mark.parametrize("log", [b"", b"x" * 100, b"\x37\x7f\x06\x82" + bytes(28)])
def test_what_is_no_log_is_not_stale(tmp_path: Path, log: bytes) -> None:
    path = tmp_path / "ceems.db"
    make(path, 1).close()
    log_of(path).write_bytes(log)
    later(path, log_of(path))
    assert not is_stale(path, log_of(path))


def test_a_log_beside_a_backup_is_told(database: Path, tmp_path: Path) -> None:
    path, old = tmp_path / "ceems.db", tmp_path / "old.db"
    shutil.copyfile(database, path)
    with closing(make(old, 50)):
        shutil.copyfile(log_of(old), log_of(path))
    later(path, log_of(path))
    assert is_stale(path, log_of(path))
    assert "ceems.db-wal belongs to another file" in " ".join(ceems_grpc("check", str(path)).stdout.split())
