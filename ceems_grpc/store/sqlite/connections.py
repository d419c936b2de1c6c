"""Connections to one database file: read-only, a few of them kept open for the next readers."""

import asyncio
import errno
import os
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote
from weakref import WeakSet

from ceems_grpc.store.errors import StoreBusyError, StoreMissingError, StoreSchemaError
from ceems_grpc.store.runtime.cancellation import check_cancelled, is_in_one_thread, run_cancellable
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

_CLOSING = 5.0  # seconds to wait for readers to leave
_Seen = TypeVar("_Seen")


class DatabaseFile(NamedTuple):
    """The identity and state of a database in the file system. It changes when the file is written or replaced."""

    file: FileIdentity
    size: int
    modified_ns: int


class ConnectionPool:
    """Connections to a database file. A replaced file is detected and opened again.

    ``size``: how many idle connections are kept. The number of connections in use is limited elsewhere.
    ``busy_timeout``: seconds to wait for a writer.

    Questions use the pool from their threads. Only one thread at a time uses a connection.
    """

    def __init__(self, path: Path, size: int, busy_timeout: float) -> None:
        self._path = path
        self._size = size
        self._busy_timeout = busy_timeout
        self._lock = threading.Lock()
        self._idle: list[GuardedConnection] = []
        self._files: dict[GuardedConnection, FileIdentity] = {}
        self._newest: DatabaseFile | None = None
        self._closed = False
        _pools.add(self)

    @asynccontextmanager
    async def transaction(
        self, look: Callable[[GuardedConnection, DatabaseFile], _Seen]
    ) -> AsyncIterator[tuple[GuardedConnection, _Seen]]:
        """Open a read transaction on the current state of the file. It ends with the block.

        ``look`` reads from the new transaction, in the same thread that opens it; the block gets what it returns.
        Raises `StoreError` if the file cannot be opened, and for errors of SQLite within the block.
        """
        taken: list[GuardedConnection] = []

        def begin() -> tuple[DatabaseFile, _Seen]:
            found, connection = self._take()
            taken.append(connection)
            connection.execute("BEGIN").close()
            return found, look(connection, found)

        def interrupt() -> None:
            for connection in taken:
                connection.interrupt()

        def end() -> None:
            taken[0].execute("ROLLBACK").close()
            self._give_back(taken.pop(), found)

        try:
            found, seen = await run_cancellable(begin, interrupt)
            yield taken[0], seen
            await run_cancellable(end)
        except BaseException as error:
            await _finish(lambda: self._drop(taken))
            if isinstance(error, sqlite3.Error | UnicodeDecodeError):
                raise explain(self._path, error) from error
            raise

    async def close(self) -> None:
        """Close idle connections, and wait some seconds for the others, which close when their readers do."""
        self._closed = True
        await _finish(self._drop_idle)
        ends = time.monotonic() + _CLOSING
        while self._files:
            if time.monotonic() > ends:
                return
            await asyncio.sleep(0.005)

    # In threads

    def _take(self) -> tuple[DatabaseFile, GuardedConnection]:
        found = self._identify()
        with self._lock:
            known, self._newest = self._newest, found
        if found != known:
            # First use, or the file was replaced or written. SQLite keeps pages in memory, and programs other than
            # SQLite may have changed them, for example by copying a backup into the file. Checkpoints also change the
            # file, but they are rare.
            self._drop_idle()
        with self._lock:
            idle = self._idle.pop() if self._idle else None
        return found, idle or self._connect(found.file)

    def _give_back(self, connection: GuardedConnection, found: DatabaseFile) -> None:
        """Keep a connection unless the pool is closed or full, or the file has been written or replaced."""
        with self._lock:
            keep = not self._closed and found == self._newest and len(self._idle) < self._size
            if keep:
                self._idle.append(connection)
        if not keep:
            self._drop([connection])

    def _identify(self) -> DatabaseFile:
        try:
            file, status = identity_of(self._path), self._path.stat()
        except OSError as error:
            raise explain_path(self._path, error) from error
        if not stat.S_ISREG(status.st_mode):
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

    def _register(self, file: FileIdentity) -> FileIdentity:
        """Register a connection after closing all connections that use a WAL-index that no longer exists.

        Return the identity that was registered: another connection may have created the index meanwhile.
        """
        ends = time.monotonic() + self._busy_timeout
        while not register_connection(file):
            if time.monotonic() > ends:
                raise StoreBusyError("The database was replaced while it was being read; ask again in a moment.")
            for pool in list(_pools):
                if pool._newest is not None and pool._newest.file[:2] == file[:2]:
                    pool._drop_idle()
            check_cancelled()
            time.sleep(0.01)
            file = self._identify().file
        return file

    def _connect(self, file: FileIdentity) -> GuardedConnection:
        file = self._register(file)
        uri = f"file:{quote(os.fspath(self._path.absolute()))}?mode=ro"
        connection: GuardedConnection | None = None
        try:
            check_wal(self._path)
            connection = sqlite3.connect(
                uri,
                uri=True,
                isolation_level=None,
                timeout=self._busy_timeout,
                factory=GuardedConnection,
                check_same_thread=False,
            )
            self._files[connection] = file
            connection.execute("PRAGMA cache_size = -4096").close()
            connection.execute("PRAGMA schema_version").fetchall()  # opens the WAL-index, which then stays open
            record_wal_index(identity_of(self._path))
        except BaseException as error:
            if connection is None:
                unregister_connection(file)
            else:
                self._drop([connection])
            if isinstance(error, sqlite3.Error | UnicodeDecodeError):
                raise explain(self._path, error) from error
            if isinstance(error, OSError):
                raise explain_path(self._path, error) from error
            raise
        return connection

    def _drop(self, connections: Iterable[GuardedConnection]) -> None:
        for connection in connections:
            with suppress(sqlite3.Error):
                connection.close()
            file = self._files.pop(connection, None)
            if file is not None:
                unregister_connection(file)

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        self._drop(idle)


async def _finish(work: Callable[[], None]) -> None:
    """Finish blocking work even if the caller is cancelled."""
    if is_in_one_thread():
        work()
    else:
        await asyncio.shield(asyncio.to_thread(work))


_pools: "WeakSet[ConnectionPool]" = WeakSet()  # of this process
