"""The follower's own connection to the database file.

It stays open between two checks of the file. Otherwise a restarted log does not prove which commits it holds.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path

from ceems_grpc.store.sqlite.shm_guard import (
    FileIdentity,
    identity_of,
    record_wal_index,
    register_connection,
    unregister_connection,
)
from ceems_grpc.store.sqlite.source_rows import PythonRows


class SourceConnection:
    """A connection to the database file. It is closed when the file or the WAL-index that it uses no longer exists."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: PythonRows | None = None
        self._file: FileIdentity | None = None
        self.pinned = False
        """Whether the connection has been open since the mirror's state was taken."""

    @property
    def rows(self) -> PythonRows | None:
        """The connection, if it is open."""
        return self._rows

    def open(self) -> None:
        """Open the connection unless it is open. Raises OSError and sqlite3.Error."""
        if self._rows is not None:
            return
        self.close()
        file = identity_of(self._path)
        if not register_connection(file):
            raise OSError("the files next to the database were replaced while it was being read")
        self._file = file
        self._rows = PythonRows(self._path)
        self._rows.one("SELECT count(*) FROM sqlite_master")  # opens the WAL-index, which then stays open
        self._file = identity_of(self._path)
        record_wal_index(self._file)

    def close_if_replaced(self) -> None:
        """Close the connection if the file or the WAL-index that it uses no longer exists."""
        try:
            found = identity_of(self._path)
        except OSError:
            found = None
        if self._file != found:
            self.close()

    def interrupt(self) -> None:
        """Interrupt the statement that runs in another thread."""
        with suppress(sqlite3.ProgrammingError):  # closed by the other thread
            if self._rows is not None:
                self._rows.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self.pinned = False
        if self._rows is not None:
            self._rows.close()
            self._rows = None
        if self._file is not None:
            unregister_connection(self._file)
            self._file = None
