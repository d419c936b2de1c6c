"""Keeps one target as a database is, by filling it or bringing it up to date. For a process of its own."""

from collections.abc import Callable
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path

from ceems_grpc.store.columnar.zone_text import text_of_zone
from ceems_grpc.store.follow.changes import catch_up
from ceems_grpc.store.follow.fill import fill_target
from ceems_grpc.store.follow.target import Target
from ceems_grpc.store.sqlite.source_rows import AdbcRows, Rows
from ceems_grpc.store.sqlite.wal import SeenRows, read_version


class Step(StrEnum):
    """What a look at the database led to."""

    NOTHING = "nothing"  # the target shows the newest state
    CAUGHT_UP = "caught up"
    FILLED = "filled"


class SourceFollower:
    """Follows one database; not for several threads at once.

    ``zone``: of the local times in the database; another one than before fills the target anew. ``open_rows``: how the
    database is read. ADBC must be the only SQLite of the process that has the file open; else take `PythonRows`.
    The database stays open between steps: that is what tells changes from a log that was begun anew.
    """

    def __init__(
        self, source: Path, target: Target, zone: tzinfo, open_rows: Callable[[Path], Rows] = AdbcRows
    ) -> None:
        self._source = source.absolute()
        self._target = target
        self._zone = text_of_zone(zone)
        self._open_rows = open_rows
        self._rows: Rows | None = None
        self._identity: tuple[int, int] | None = None
        self._seen = SeenRows()
        self._pinned = False  # the database has been open since the target's state was taken

    def step(self) -> Step:
        """Look at the database, and make the target show it.

        Raises OSError where there is no database, `CannotMirrorError` where it cannot be copied exactly, and the errors
        of the target and of the rows. The target then shows what it showed, and the next step tries again.
        """
        meta = self._target.meta
        if meta is not None and meta.layout.zone == self._zone and meta.source == str(self._source):
            if meta.version == read_version(self._source):
                return Step.NOTHING
            rows = self._connected()
            if catch_up(self._target, rows, self._source, across_restarts=self._pinned, seen=self._seen):
                self._pinned = True
                return Step.CAUGHT_UP
        fill_target(self._target, self._connected(), self._source, self._zone, threads=True)
        self._pinned = True
        return Step.FILLED

    def close(self) -> None:
        """Close the database, not the target."""
        self._pinned = False
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def _connected(self) -> Rows:
        status = self._source.stat()
        identity = (status.st_dev, status.st_ino)
        if self._rows is None or self._identity != identity:
            self.close()
            self._rows = self._open_rows(self._source)
            self._identity = identity
            self._rows.one("SELECT count(*) FROM sqlite_master")  # opens the WAL-index, to stay
        return self._rows
