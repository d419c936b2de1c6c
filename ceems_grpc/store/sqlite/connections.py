"""Connections to one database file: read-only, a few of them kept open for the next readers."""

import asyncio
import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from weakref import WeakSet

import aiosqlite

from ceems_grpc.store.errors import StoreBusyError, StoreMissingError, StoreSchemaError
from ceems_grpc.store.sqlite.errors import check_wal, explain, explain_path
from ceems_grpc.store.sqlite.guard import GuardedConnection
from ceems_grpc.store.sqlite.kept_files import may_read
from ceems_grpc.store.sqlite.shm_guard import (
    FileIdentity,
    identity_of,
    record_wal_index,
    register_connection,
    unregister_connection,
)

_CLOSING = 5.0  # seconds for which to wait for readers to leave


class DatabaseFile(NamedTuple):
    """What the file system says of a database; another value after it was written or replaced."""

    file: FileIdentity
    size: int
    modified_ns: int


class ConnectionPool:
    """Connections to a database file. A file that was replaced is noticed and opened again.

    ``size``: how many idle connections are kept; how many are in use at once is limited elsewhere.
    ``busy_timeout``: seconds to wait for a writer.
    """

    def __init__(self, path: Path, size: int, busy_timeout: float) -> None:
        self._path = path
        self._size = size
        self._busy_timeout = busy_timeout
        self._idle: list[aiosqlite.Connection] = []
        self._files: dict[aiosqlite.Connection, FileIdentity] = {}
        self._newest: DatabaseFile | None = None
        self._closed = False
        _pools.add(self)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[tuple[aiosqlite.Connection, DatabaseFile]]:
        """Open a read transaction on the file as it is now; it ends with the block, which is given that file.

        Raises `StoreError` where the file cannot be opened, and for errors of SQLite within the block.
        """
        found, connection = await self._take()
        try:
            async with self._begun(connection):
                yield connection, found
        except BaseException:
            await self._drop(connection)
            raise
        # Dropped where the pool is closed or full, or the file was written or replaced in the meantime.
        if self._closed or found != self._newest or len(self._idle) >= self._size:
            await self._drop(connection)
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close idle connections, and wait some seconds for those in use, which close when their reader does."""
        self._closed = True
        await self._drop_idle()
        ends = time.monotonic() + _CLOSING
        while self._files:
            if time.monotonic() > ends:
                return
            await asyncio.sleep(0.005)

    async def _take(self) -> tuple[DatabaseFile, aiosqlite.Connection]:
        found = await asyncio.to_thread(self._identify)
        known, self._newest = self._newest, found
        if found != known:
            # First use, or the file was replaced or written. SQLite keeps pages in memory, and programs other than
            # SQLite may have changed them, for example by copying a backup into the file. Checkpoints also change the
            # file, but they are rare.
            await self._drop_idle()
        return found, self._idle.pop() if self._idle else await self._connect(found.file)

    def _identify(self) -> DatabaseFile:
        try:
            status, file = self._path.stat(), identity_of(self._path)
        except OSError as error:
            raise explain_path(self._path, error) from error
        if not self._path.is_file():
            raise StoreMissingError(
                "The path of the database leads to something that is not a file.", f"{self._path} is not a file."
            )
        if not may_read(self._path):
            raise explain_path(self._path, PermissionError(errno.EACCES, "not readable"))
        if not status.st_size:
            raise StoreSchemaError(
                "The database file is empty: it has no table units.",
                f"{self._path} is empty: it has no table units. Check the path, or restore a backup.",
            )
        return DatabaseFile(file, status.st_size, status.st_mtime_ns)

    async def _register(self, file: FileIdentity) -> None:
        """Register a connection, once those that use a WAL-index that no longer exists have been closed."""
        ends = time.monotonic() + self._busy_timeout
        while not register_connection(file):
            if time.monotonic() > ends:
                raise StoreBusyError("The database was replaced while it was being read; ask again in a moment.")
            for pool in list(_pools):
                if pool._newest is not None and pool._newest.file[:2] == file[:2]:
                    await pool._drop_idle()
            await asyncio.sleep(0.01)

    async def _connect(self, file: FileIdentity) -> aiosqlite.Connection:
        await self._register(file)
        uri = f"file:{quote(os.fspath(self._path.absolute()))}?mode=ro"
        connection = aiosqlite.connect(
            uri, uri=True, isolation_level=None, timeout=self._busy_timeout, factory=GuardedConnection
        )
        self._files[connection] = file
        connection._thread.daemon = True  # a stuck file system must not keep the process alive
        try:
            await asyncio.to_thread(check_wal, self._path)
            await connection
            await connection.execute("PRAGMA cache_size = -4096")
            await connection.execute_fetchall("PRAGMA schema_version")  # opens the WAL-index, which then stays open
            record_wal_index(await asyncio.to_thread(identity_of, self._path))
        except sqlite3.Error as error:
            await self._drop(connection)
            raise explain(self._path, error) from error
        except OSError as error:
            await self._drop(connection)
            raise explain_path(self._path, error) from error
        except BaseException:
            await self._drop(connection)
            raise
        return connection

    @asynccontextmanager
    async def _begun(self, connection: aiosqlite.Connection) -> AsyncIterator[None]:
        try:
            await connection.execute("BEGIN")
            yield
        except asyncio.CancelledError:
            await connection.interrupt()
            raise
        except sqlite3.Error as error:
            raise explain(self._path, error) from error
        else:
            await connection.execute("ROLLBACK")

    async def _drop(self, *connections: aiosqlite.Connection) -> None:
        """Close connections, also if the caller is cancelled."""
        if connections:
            await asyncio.shield(asyncio.gather(*map(self._close, connections)))

    async def _close(self, connection: aiosqlite.Connection) -> None:
        with suppress(sqlite3.Error, ValueError):
            await connection.close()
        file = self._files.pop(connection, None)
        if file is not None:
            unregister_connection(file)

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        await self._drop(*idle)


_pools: "WeakSet[ConnectionPool]" = WeakSet()  # of this process
