"""Keep one target current, by filling or updating it. Runs in a process of its own."""

from collections.abc import Callable
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path

from ceems_grpc.store.columnar.zone_text import text_of_zone
from ceems_grpc.store.follow.changes import catch_up
from ceems_grpc.store.follow.fill import fill_target
from ceems_grpc.store.follow.target import Target
from ceems_grpc.store.sqlite.source_rows import AdbcRows, Rows
from ceems_grpc.store.sqlite.wal import read_version
from ceems_grpc.store.sqlite.wal_changes import SeenRows


class Step(StrEnum):
    """What one step did."""

    NOTHING = "nothing"  # the target was current
    CAUGHT_UP = "caught up"
    FILLED = "filled"


class SourceFollower:
    """Follows one database. Not thread-safe.

    ``zone``: the zone of the database's local times; when it changes, the target is filled again. ``open_rows``: how
    the database is read. `AdbcRows` must be the only SQLite library in the process that has the file open; use
    `PythonRows` otherwise. The database stays open between steps, because only then can changes be found in a
    write-ahead log that has restarted.
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
        self._pinned = False  # whether the database has been open since the target's state was taken

    def step(self) -> Step:
        """Bring the target to the current state of the database.

        Raises OSError if there is no database, `CannotMirrorError` if it cannot be copied exactly, and the errors of
        the target and of the rows. After an error the target is unchanged, and the next step tries again.
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
        """Close the database. The target stays open."""
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
            self._rows.one("SELECT count(*) FROM sqlite_master")  # opens the WAL-index and keeps it open
        return self._rows
