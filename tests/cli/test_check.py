import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ceems_grpc.cli.main import run
from tests.support.command import ceems_grpc


@contextmanager
def _server(path: Path) -> Iterator[None]:
    """Hold the database open for writing, as ceems_api_server does, so that -wal and -shm exist."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE units SET ignore = ignore WHERE id = 1")
        connection.commit()
        yield


def _copy(database: Path, folder: Path) -> Path:
    path = folder / "ceems.db"
    path.write_bytes(database.read_bytes())
    path.chmod(0o644)
    return path


def test_a_good_database(database: Path, open_folder: Path) -> None:
    path = _copy(database, open_folder)
    with _server(path):
        done = ceems_grpc("check", open_folder, unprivileged=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "-rw-r--r--" in next(line for line in lines if line.startswith("File"))
    assert "Journal     WAL" in lines
    assert sum("readable" in line for line in lines) == 2
    assert "Tables      units, usage, daily_usage, users, projects, admin_users" in lines
    assert "Schema      version 9" in lines
    clusters = "k8s-0 (k8s), lsf-0 (lsf), openstack-0 (openstack), slurm-cpu (slurm), slurm-gpu (slurm)"
    assert f"Clusters    {clusters}" in lines
    assert "Units       800" in lines
    assert "Europe/Paris (guessed" in done.stdout
    assert lines[-1].startswith("OK ")
    assert "Warning" not in done.stdout


def test_the_zone_that_is_given(database: Path) -> None:
    done = ceems_grpc("check", database, "--timezone", "Europe/Lisbon")
    assert "Time zone   Europe/Lisbon\n" in done.stdout
    wrong = ceems_grpc("check", database, "--timezone", "Mars/Base")
    assert wrong.returncode == 1
    assert "NOT OK      Unknown time zone 'Mars/Base'" in wrong.stdout


def test_an_old_database(database: Path, open_folder: Path) -> None:
    path = _copy(database, open_folder)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP TABLE daily_usage; DROP TABLE admin_users;"
            "UPDATE units SET last_updated_at = '2024-01-02T03:04:05';"
            "UPDATE usage SET last_updated_at = '2024-01-02T03:04:05';"
        )
    done = ceems_grpc("check", path)
    assert done.returncode == 0
    assert "Missing     daily_usage, admin_users" in done.stdout
    assert "Updated     2024-01-02 02:04 UTC" in done.stdout
    assert "Memory      the plugin may take " in done.stdout
    warnings = " ".join(done.stdout.partition("Warning")[2].split())
    assert "check that ceems_api_server runs" in warnings
    assert "older version of CEEMS" in warnings
    assert done.stdout.splitlines()[-1].startswith("OK ")


@pytest.fixture
def why_not(capsys: pytest.CaptureFixture[str]) -> Callable[[Path], str]:
    """Check a path in this process; return the reason for refusal, in one line."""

    def check(path: Path) -> str:
        assert run(["check", str(path)]) == 1
        written = capsys.readouterr()
        assert written.err == ""
        return _reason(written.out)

    return check


def _why_nobody_can(path: Path) -> str:
    """Check a path as a user without privileges; return the reason for refusal, in one line."""
    done = ceems_grpc("check", path, unprivileged=True)
    assert (done.returncode, done.stderr) == (1, "")
    return _reason(done.stdout)


def _reason(output: str) -> str:
    assert "\nOK" not in output
    return " ".join(output.partition("NOT OK")[2].split())


def test_no_such_file(open_folder: Path, why_not: Callable[[Path], str]) -> None:
    (open_folder / "ceems.sqlite").touch()
    assert (
        why_not(open_folder / "a" / "b" / "ceems.db")
        == f"{open_folder}/a does not exist; {open_folder} has ceems.sqlite."
    )
    assert why_not(open_folder) == f"{open_folder}/ceems.db does not exist; {open_folder} has ceems.sqlite."
    assert why_not(open_folder / "ceems.sqlite" / "x") == f"{open_folder}/ceems.sqlite is a file, not a folder."
    assert why_not(Path("/dev/null")) == "/dev/null is not a file."
    assert "cannot be reached" in why_not(open_folder / ("x" * 300))


def test_not_a_database(database: Path, open_folder: Path, why_not: Callable[[Path], str]) -> None:
    path = open_folder / "ceems.db"
    path.touch()
    assert "is empty" in why_not(path)
    path.write_text("hello" * 1000)
    assert "is not an SQLite database" in why_not(path)
    data = database.read_bytes()
    path.write_bytes(data[:4096] + os.urandom(100_000))
    assert "is not an SQLite database, or is damaged" in why_not(path)


def test_another_programs_database(open_folder: Path) -> None:
    path = open_folder / "grafana.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE dashboard (id)")
    done = ceems_grpc("check", path)
    assert done.returncode == 1
    assert "Journal     not WAL" in done.stdout
    assert "Tables      none of the CEEMS tables" in done.stdout
    assert "has no table units" in " ".join(done.stdout.split())


def test_a_folder_that_may_not_be_entered(database: Path, open_folder: Path) -> None:
    folder = open_folder / "data"
    folder.mkdir()
    path = _copy(database, folder)
    folder.chmod(0o600)
    why = _why_nobody_can(path)
    assert f"may not enter {folder}." in why
    assert why.endswith(f":x {folder}")


def test_a_file_that_may_not_be_read(database: Path, open_folder: Path) -> None:
    path = _copy(database, open_folder)
    path.chmod(0o200)
    why = _why_nobody_can(path)
    assert f"may not read {path}." in why
    assert why.endswith(f":r {path}")


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_files_beside_it_that_may_not_be_read(database: Path, open_folder: Path, suffix: str) -> None:
    path = _copy(database, open_folder)
    with _server(path):
        beside = path.with_name(path.name + suffix)
        beside.chmod(0o200)
        why = _why_nobody_can(path)
    assert f"may not read {beside}, which SQLite needs." in why
    assert "setfacl -d -m" in why


def test_a_stopped_server_and_a_folder_that_may_not_be_written(database: Path, open_folder: Path) -> None:
    path = _copy(database, open_folder)
    open_folder.chmod(0o555)
    done = ceems_grpc("check", path, unprivileged=True)
    open_folder.chmod(0o755)
    if os.geteuid() == 0:  # the file belongs to root, the reader is another user
        assert done.returncode == 1
        assert "start ceems_api_server, which creates it" in " ".join(done.stdout.split())
    else:
        assert done.returncode == 1
        assert "may not make it" in " ".join(done.stdout.split())


def test_never_leaves_files_that_stop_the_server(database: Path, open_folder: Path) -> None:
    path = _copy(database, open_folder)
    open_folder.chmod(0o777)
    done = ceems_grpc("check", path, unprivileged=True)
    owner = path.stat().st_uid
    assert {one.stat().st_uid for one in open_folder.iterdir()} == {owner}
    if os.geteuid() == 0:
        assert done.returncode == 1
        assert "ceems_api_server could not start then" in " ".join(done.stdout.split())
    else:
        assert done.returncode == 0


def test_root_is_told_that_it_sees_more(database: Path) -> None:
    done = ceems_grpc("check", database)
    assert done.returncode == 0
    assert ("root may read every file" in done.stdout) == (os.geteuid() == 0)
