"""The store next to a live writer: locks, cancellations, files that are replaced or changed, many readers at once."""

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.plan import Aggregate, Count, Distinct, Instant, Scan, Table, Within
from ceems_grpc.store.sqlite.reader import SqliteReader
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, WINTER, make, unit

GUARD = 60  # seconds after which a call counts as hanging


class WatchedZone(tzinfo):
    """UTC that is slow on purpose; it reports when it converts several rows, and counts the calls."""

    def __init__(self, patience: float) -> None:
        self.asked = threading.Event()
        self.times = 0
        self._patience = patience
        self._never = threading.Event()

    def utcoffset(self, moment: datetime | None) -> timedelta:
        if threading.current_thread() is not threading.main_thread():  # within a statement
            self.times += 1
            if self.times > 50:
                self.asked.set()
            self._never.wait(self._patience)
        return timedelta()

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, moment: datetime | None) -> str:
        return "watched"


async def names(store: SqliteStore) -> list[str]:
    async with store.read() as reader:
        return await names_in(reader)


async def names_in(reader: SqliteReader) -> list[str]:
    found = await reader.distinct(Distinct(Table.UNITS, ("name",)))
    return [str(name) for name in found.column(0).to_pylist()]


def opened(path: Path) -> list[Path]:
    """Return the open files of this process with this path."""
    descriptors = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - shortly
    return [link for link in descriptors if link.is_symlink() and link.readlink() == path]


def set_name(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("UPDATE units SET name = ?", (name,))
        writer.commit()


# Locks


async def test_a_writer_that_keeps_its_lock_is_told(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db")
    store = SqliteStore(path, busy_timeout=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError, match="locked by a writer"):
            await names(store)
        writer.execute("ROLLBACK")
    assert await names(store) == ["None"]
    await store.close()


async def test_a_known_database_that_is_locked_is_told_too(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db")
    store = SqliteStore(path, busy_timeout=0.05)
    await names(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError):
            await names(store)
        writer.execute("ROLLBACK")
    assert await names(store) == ["None"]
    await store.close()


async def test_a_writer_that_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db")
    store = SqliteStore(path, busy_timeout=GUARD)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("UPDATE units SET name = 'new'")
        question = asyncio.create_task(names(store))
        await asyncio.sleep(0.05)
        assert not question.done()
        writer.execute("COMMIT")
        assert await question == ["new"]
    await store.close()


async def test_a_reader_does_not_block_a_writer_in_wal_mode_and_lets_it_tidy_up(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", 50, journal="wal")
    store = SqliteStore(path)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        async with store.read() as reader:
            assert await names_in(reader) == ["None"]
            writer.execute("UPDATE units SET name = 'new'")
            assert await names_in(reader) == ["None"], "all answers of a reader come from one moment"
            busy, logged, moved = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            assert moved < logged
        assert await names(store) == ["new"]
        busy, logged, moved = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert (busy, logged, moved) == (0, 0, 0), "idle connections do not keep the log from being folded"
    await store.close()


async def test_nothing_can_be_written(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", journal="wal")
    with closing(sqlite3.connect(path)) as keeper:
        keeper.execute("SELECT * FROM units").fetchall()
        before = path.read_bytes()
        store = SqliteStore(path)
        async with store.read() as reader:
            for statement in ("DELETE FROM units", "CREATE TABLE t (x)", "PRAGMA user_version = 5", "VACUUM"):
                with pytest.raises(sqlite3.OperationalError):
                    reader._connection.execute(statement)
        await store.close()
        assert path.read_bytes() == before


# Many at once


async def test_more_readers_than_connections_that_are_kept(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", 5)
    store = SqliteStore(path, connections=2)

    async def one() -> int:
        async with store.read() as reader:
            table = await reader.aggregate(Aggregate(Table.UNITS, (), (Count("n"),)))
            return int(table.column("n")[0].as_py())

    assert await asyncio.gather(*(one() for _ in range(20))) == [5] * 20
    assert len(opened(path)) == 2
    await store.close()


async def test_readers_that_fail_close_their_connection(tmp_path: Path) -> None:
    store = SqliteStore(make(tmp_path / "ceems.db"), connections=1)
    for _ in range(3):
        with pytest.raises(StoreError):
            async with store.read() as reader:
                await reader.table(Scan(Table.UNITS, ("no_such_column",)))
        with pytest.raises(ZeroDivisionError):
            async with store.read():
                raise ZeroDivisionError
    assert await names(store) == ["None"]
    await store.close()


async def test_closing_leaves_no_open_file(tmp_path: Path) -> None:
    """Not even of a reader that is closing at the moment."""
    path = make(tmp_path / "ceems.db")
    store = SqliteStore(path, connections=3)
    await asyncio.gather(*(names(store) for _ in range(6)))
    reading, may_end = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with store.read() as reader:
            reading.set()
            await may_end.wait()
            assert await names_in(reader) == ["None"], "who reads may end"

    reader = asyncio.create_task(read())
    await reading.wait()
    closing_store = asyncio.create_task(store.close())
    await asyncio.sleep(0.05)
    assert not closing_store.done()
    may_end.set()
    await closing_store
    assert opened(path) == []
    await reader


# Cancellation


async def test_a_cancelled_sum_stops_its_statement(tmp_path: Path) -> None:
    rows = [unit(index, WINTER + 60 * index) for index in range(2000)]
    zone = WatchedZone(patience=0.02)
    store = SqliteStore(make(tmp_path / "ceems.db", rows), zone=zone, connections=1)

    async def ask() -> None:
        async with store.read() as reader:
            await reader.aggregate(Aggregate(Table.UNITS, (), (Count("n"),), day=True))

    await _cancel_when_running(ask, zone)
    assert zone.times < 1000
    assert await names(store) == ["None"], "the store works on"
    await store.close()


async def test_a_cancelled_scan_stops_its_statement(tmp_path: Path) -> None:
    # The first row is found at once, so that the statement still runs while rows are fetched.
    turn = 1_761_440_400  # clocks go back in Paris: near it, every row's moment is computed
    rows = [unit(index, turn + 2 * index) for index in range(2000)]

    class Turning(WatchedZone):
        def utcoffset(self, moment: datetime | None) -> timedelta:
            super().utcoffset(moment)
            return PARIS.utcoffset(moment) or timedelta()

    zone = Turning(patience=0.02)
    store = SqliteStore(make(tmp_path / "ceems.db", rows), zone=zone, connections=1)

    async def ask() -> None:
        async with store.read() as reader:
            within = Within(Instant.UPDATED, turn, turn)
            async for _ in reader.batches(Scan(Table.UNITS, ("uuid",), within)):
                pass

    await _cancel_when_running(ask, zone)
    assert zone.times < 2000
    await store.close()


async def _cancel_when_running(ask: object, zone: WatchedZone) -> None:
    async with asyncio.timeout(GUARD):
        task = asyncio.ensure_future(ask())  # type: ignore[operator]
        await asyncio.to_thread(zone.asked.wait, GUARD)
        assert zone.times > 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# Files that change


async def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", [unit(0, name="old")])
    store = SqliteStore(path)
    assert await names(store) == ["old"]
    make(tmp_path / "other.db", [unit(0, name="new")]).rename(path)
    assert await names(store) == ["new"]
    await store.close()


async def test_a_file_that_is_replaced_while_it_is_read(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", [unit(0, name="old")])
    store = SqliteStore(path)
    async with store.read() as reader:
        assert await names_in(reader) == ["old"]
        make(tmp_path / "other.db", [unit(0, name="new")]).rename(path)
        assert await names(store) == ["new"]
        assert await names_in(reader) == ["old"], "a reader that has begun continues with the old file"
    for _ in range(3):  # the connection to the old file is not used again
        assert await names(store) == ["new"]
    await store.close()


async def test_a_file_that_went_away_and_came_back(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", [unit(0, name="old")])
    store = SqliteStore(path)
    assert await names(store) == ["old"]
    path.unlink()
    with pytest.raises(StoreError, match="no database file"):
        await names(store)
    make(path, [unit(0, name="new")])
    assert await names(store) == ["new"]
    await store.close()


async def test_a_migration_in_place_is_noticed(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", version=8)
    store = SqliteStore(path)
    async with store.read() as reader:
        assert not reader.has(Table.UNITS, "total_egress_stats")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("ALTER TABLE units RENAME COLUMN total_outgress_stats TO total_egress_stats")
        writer.commit()
    async with store.read() as reader:
        assert reader.has(Table.UNITS, "total_egress_stats")
    await store.close()


async def test_every_commit_is_another_version(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", journal="wal")
    store = SqliteStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        seen = []
        for number in range(5):
            writer.execute("UPDATE units SET name = ?", (f"{number}",))
            seen.append(await store.version())
            assert await store.version() == seen[-1]
    assert len(set(seen)) == 5
    await store.close()


async def test_connections_are_those_of_sqlite_itself(tmp_path: Path) -> None:
    store = SqliteStore(make(tmp_path / "ceems.db"))
    async with store.read() as reader:
        assert isinstance(reader._connection, sqlite3.Connection)
        ((only,),) = reader._connection.execute("PRAGMA query_only").fetchall()
        assert only == 1
    await store.close()
