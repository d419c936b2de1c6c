"""Files that cannot be read, or cannot be read yet: each error says what is wrong and what to do."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ceems_grpc.store.errors import (
    StoreCorruptError,
    StoreError,
    StoreMissingError,
    StoreSchemaError,
)
from ceems_grpc.store.sqlite.errors import first_failing_part
from ceems_grpc.store.sqlite.kept_files import KeptFiles
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.ceems_schema import create_schema
from tests.support.databases import make
from tests.support.other_user import needs_root, open_as_nobody


async def failure(path: Path) -> StoreError:
    """Return the error that opening a database raises."""
    store = SqliteStore(path, busy_timeout=0.1)
    try:
        with pytest.raises(StoreError) as caught:
            await store.facts()
    finally:
        await store.close()
    assert str(path.parent) not in str(caught.value), "the message for all users names no folder"
    return caught.value


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that other users may enter; pytest's own folders are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_a_missing_file(tmp_path: Path) -> None:
    error = await failure(tmp_path / "ceems.db")
    assert isinstance(error, StoreMissingError)
    assert error.detail == f"{tmp_path / 'ceems.db'} does not exist."


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = await failure(tmp_path / "gone" / "further" / "ceems.db")
    assert isinstance(error, StoreMissingError)
    assert error.detail == f"{tmp_path / 'gone'} does not exist."


async def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    error = await failure(tmp_path / "file" / "ceems.db")
    assert isinstance(error, StoreMissingError)


async def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "ceems.db").mkdir()
    error = await failure(tmp_path / "ceems.db")
    assert isinstance(error, StoreMissingError)
    assert "not a file" in str(error)


async def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ceems.db")
    assert isinstance(await failure(tmp_path / "ceems.db"), StoreMissingError)


async def test_something_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "ceems.db").write_bytes(b"key: value\n" * 1000)
    error = await failure(tmp_path / "ceems.db")
    assert isinstance(error, StoreCorruptError)
    assert "not an SQLite database" in str(error)


async def test_a_damaged_schema_whose_names_are_not_utf_8(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA writable_schema = ON")
        writer.execute("INSERT INTO sqlite_master VALUES ('table', CAST(x'7480' AS TEXT), 't', 2, 'CREATE nonsense')")
        writer.commit()
    assert isinstance(await failure(path), StoreCorruptError)


async def test_a_damaged_database(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", 500)
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    assert isinstance(await failure(path), StoreCorruptError)


async def test_an_empty_file_lacks_the_tables(tmp_path: Path) -> None:
    (tmp_path / "ceems.db").write_bytes(b"")
    error = await failure(tmp_path / "ceems.db")
    assert isinstance(error, StoreSchemaError)
    assert "no table units" in str(error)


@pytest.mark.parametrize("table", ["units", "usage", "users", "projects"])
async def test_a_database_of_something_else_names_the_missing_table(tmp_path: Path, table: str) -> None:
    path = tmp_path / "grafana.db"
    with closing(sqlite3.connect(path)) as connection:
        create_schema(connection)
        connection.execute(f"DROP TABLE {table}")
        connection.commit()
    error = await failure(path)
    assert isinstance(error, StoreSchemaError)
    assert f"no table {table}" in str(error)


async def test_odd_paths_are_opened(tmp_path: Path) -> None:
    folder = tmp_path / "a?b #c%20 ü'\""
    folder.mkdir()
    store = SqliteStore(make(folder / "ceems?mode=rwc.db", 3))
    assert (await store.facts()).units == 3
    await store.close()


async def test_a_link_to_nowhere_names_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "ceems.db").symlink_to(tmp_path / "gone" / "ceems.db")
    error = await failure(tmp_path / "ceems.db")
    assert error.detail == f"{tmp_path / 'gone'} does not exist."


def test_nothing_fails_on_the_way_to_a_file(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db")
    assert first_failing_part(path) == path


# As another user


@needs_root
def test_another_user_may_read_what_is_readable(open_folder: Path) -> None:
    path = make(open_folder / "ceems.db", 2)
    path.chmod(0o644)
    assert open_as_nobody(path).units == 2


@needs_root
def test_a_file_without_permission(open_folder: Path) -> None:
    path = make(open_folder / "ceems.db")
    path.chmod(0o640)
    sight = open_as_nobody(path)
    assert sight.error == "StorePermissionError"
    assert sight.detail.startswith(f"{path} may not be entered or read by user nobody")
    assert str(open_folder) not in sight.message


@needs_root
def test_a_folder_that_may_not_be_searched_is_named(open_folder: Path) -> None:
    closed = open_folder / "closed"
    (closed / "inner").mkdir(parents=True)
    path = make(closed / "inner" / "ceems.db")
    closed.chmod(0o700)
    sight = open_as_nobody(path)
    assert sight.error == "StorePermissionError"
    assert sight.detail.startswith(f"{closed} may not be entered or read by user nobody")
    assert "ProtectHome" in sight.detail


@needs_root
def test_a_link_into_a_folder_that_may_not_be_searched(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir()
    make(closed / "ceems.db")
    closed.chmod(0o700)
    (open_folder / "ceems.db").symlink_to(closed / "ceems.db")
    assert open_as_nobody(open_folder / "ceems.db").detail.startswith(f"{closed} may not be entered")


@needs_root
def test_wal_without_its_shared_memory_in_a_folder_that_may_not_be_written(open_folder: Path) -> None:
    path = make(open_folder / "ceems.db", journal="wal")
    path.chmod(0o644)
    assert not path.with_name("ceems.db-shm").exists()
    sight = open_as_nobody(path)
    assert sight.error == "StorePermissionError"
    assert "WAL mode" in sight.message
    assert f"{path}-shm does not exist" in sight.detail
    assert not path.with_name("ceems.db-shm").exists()


@needs_root
def test_wal_whose_shared_memory_may_not_be_read(open_folder: Path) -> None:
    path = make(open_folder / "ceems.db", journal="wal")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("UPDATE units SET name = 'x'")
        writer.commit()
        shared = path.with_name("ceems.db-shm")
        path.chmod(0o644)
        path.with_name("ceems.db-wal").chmod(0o644)
        shared.chmod(0o600)
        sight = open_as_nobody(path)
        assert sight.error == "StorePermissionError"
        assert f"{shared} may not be read by user nobody" in sight.detail
        shared.chmod(0o644)  # what the message tells the user to do
        assert open_as_nobody(path).units == 1


@needs_root
def test_wal_whose_log_may_not_be_read(open_folder: Path) -> None:
    path = make(open_folder / "ceems.db", journal="wal")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("UPDATE units SET name = 'x'")
        writer.commit()
        for name, mode in (("ceems.db", 0o644), ("ceems.db-wal", 0o600), ("ceems.db-shm", 0o644)):
            path.with_name(name).chmod(mode)
        sight = open_as_nobody(path)
        assert sight.error == "StorePermissionError"
        assert f"{path}-wal may not be read by user nobody" in sight.detail


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ceems.db")
    with ThreadPoolExecutor(1) as thread:  # a pipe opens only when a writer opens it too
        read = thread.submit(KeptFiles().read, tmp_path / "ceems.db", 100)
        try:
            assert read.result(timeout=5) is None
        finally:
            with suppress(OSError):
                os.close(os.open(tmp_path / "ceems.db", os.O_RDWR | os.O_NONBLOCK))
