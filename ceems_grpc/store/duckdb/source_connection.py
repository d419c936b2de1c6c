"""The follower's own connection to the database file.

It stays open between looks at the file. Only then does a log that was started again prove which commits it holds.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path

from ceems_grpc.store.sqlite.shm_guard import FileIdentity, enter, identity_of, leave, opened
from ceems_grpc.store.sqlite.source_rows import PythonRows


class SourceConnection:
    """A connection that is closed when the file, or the WAL-index that it uses, no longer exists."""

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
        """Open it, unless it is. Raises OSError and sqlite3.Error."""
        if self._rows is not None:
            return
        self.close()
        file = identity_of(self._path)
        if not enter(file):
            raise OSError("files beside the database were replaced while it was being read")
        self._file = file
        self._rows = PythonRows(self._path)
        self._rows.one("SELECT count(*) FROM sqlite_master")  # opens the WAL-index, to stay
        self._file = identity_of(self._path)
        opened(self._file)

    def close_if_replaced(self) -> None:
        """Close the connection if it is to a file, or uses a WAL-index, that no longer exists."""
        try:
            found = identity_of(self._path)
        except OSError:
            found = None
        if self._file != found:
            self.close()

    def interrupt(self) -> None:
        """End the statement that runs in another thread."""
        with suppress(sqlite3.ProgrammingError):  # the work has closed it
            if self._rows is not None:
                self._rows.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self.pinned = False
        if self._rows is not None:
            self._rows.close()
            self._rows = None
        if self._file is not None:
            leave(self._file)
            self._file = None
