"""Files of mirrors: where they are stored, who owns them, and how they are opened, shared and deleted."""

import contextlib
import fcntl
import hashlib
import os
import shlex
import tempfile
import threading
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.columnar.layout import COLUMN_LAYOUT_VERSION, Meta
from ceems_grpc.store.columnar.zone_text import zone_of_text
from ceems_grpc.store.duckdb.counts import UnitCounts, counting_of, read_counts
from ceems_grpc.store.duckdb.groups import read_groups
from ceems_grpc.store.plan import Aggregate, Condition

_SLOTS = 16
_PREFIX = "ceems-"
_SUFFIX = ".duckdb"


class Snapshot:
    """One moment of a mirror, for one question."""

    def __init__(self, mirror: "Mirror", connection: duckdb.DuckDBPyConnection, meta: Meta) -> None:
        self.mirror = mirror
        self.connection = connection
        self.meta = meta
        self.zone: tzinfo = mirror.zone
        self._counts = mirror.counts
        self.found = mirror.found_at(meta.id)

    def groups(self, numbers: pa.ChunkedArray) -> pa.Table:
        """Return the texts of the groups of units up to the highest of these group numbers; see `duckdb.groups`."""
        highest = pc.max(numbers).as_py()
        return self._groups(-1 if highest is None else highest)

    def _groups(self, highest: int) -> pa.Table:
        if highest >= self.mirror.groups.num_rows:
            self.mirror.groups = read_groups(self.connection)
        return self.mirror.groups

    def counted(self, plan: Aggregate) -> pa.Table | None:
        """Return the sums of an aggregation of units by group, if they can be counted in memory; see `counts`."""
        moment, counts = self._counts
        counting = counting_of(plan)
        if counting is None or counts is None or moment != self.meta.id:
            return None
        return counts.by_group(counting, self._groups(counts.highest))

    def close(self) -> None:
        """Release the snapshot."""
        with suppress(duckdb.Error):
            self.connection.close()
        self.mirror.release()


class Mirror:
    """An open mirror. It is closed, and its file deleted, when it is retired and its last snapshot is closed."""

    def __init__(self, path: Path, memory_limit: str, threads: int) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._users = 1
        self._delete = False
        self.changing = threading.Lock()
        """Held while the moment changes, so that the meta and the view of new snapshots change together."""
        self.duck = open_duck(path, memory_limit, threads)
        try:
            self.meta = read_meta(self.duck)
        except BaseException:
            self.duck.close()
            raise
        self.zone = zone_of_text(self.meta.layout.zone)
        self.groups = read_groups(self.duck)  # those that were needed so far; a group never changes
        self.counts: tuple[str, UnitCounts | None] = ("", None)  # the id of a moment, and its counts if they exist
        self._found: tuple[str, dict[str, Any]] = ("", {})
        self.rewritten = 0  # rows that updates have replaced; each leaves a hole
        ((rows,),) = self.duck.execute("SELECT count(*) FROM units").fetchall()
        self.most_rewritten = 200_000 + int(rows)

    @property
    def needs_rebuild(self) -> bool:
        """Whether it has so many holes that it should be rebuilt."""
        return self.rewritten > self.most_rewritten

    def snapshot(self) -> Snapshot | None:
        """Return a snapshot of the newest state, or None if the mirror is closed. Raises duckdb.Error."""
        with self._lock:
            if not self._users:
                return None
            self._users += 1
        try:
            connection = self.duck.cursor()
            with self.changing:
                connection.execute("BEGIN")
                return Snapshot(self, connection, self.meta)
        except BaseException:
            self.release()
            raise

    def found_at(self, moment: str) -> dict[str, Any]:
        """Return what readers of the moment have computed; see `ceems_grpc.store.protocols.SharesMoment`."""
        if self._found[0] != moment:
            self._found = (moment, {})
        return self._found[1]

    def count(self) -> None:
        """Load the units of this moment for counting, if not done yet. Raises duckdb.Error at most once per moment."""
        if self.counts[0] == self.meta.id:
            return
        self.counts = ("", None)  # so that memory is needed for one of them only
        snapshot = self.snapshot()
        if snapshot is None:
            return
        counts = None
        try:
            counts = read_counts(snapshot.connection, snapshot.meta.layout)
            if counts is not None and counts.highest >= self.groups.num_rows:
                self.groups = read_groups(snapshot.connection)
        finally:
            self.counts = (snapshot.meta.id, counts)
            snapshot.close()

    def few_rows(self, version: Version, where: Condition) -> list[int] | None:
        """Return the ids of a few units that include all that meet a condition, at a version of the database.

        None if there are many, or if the mirror cannot find them.
        """
        meta, (moment, counts), groups = self.meta, self.counts, self.groups
        if counts is None or moment != meta.id or meta.version != version or counts.highest >= groups.num_rows:
            return None
        return counts.few_rows(where, groups)

    def retire(self, *, delete: bool) -> None:
        """Give out no new snapshots, and close the mirror when the last reader ends."""
        self._delete = delete
        self.release()

    def release(self) -> None:
        """Count one user fewer."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
        with suppress(duckdb.Error):
            self.duck.close()
        if self._delete:
            delete_mirror(self.path)


def open_duck(path: Path, memory_limit: str, threads: int, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file with bounded memory and threads, and without the right to load or download extensions.

    The file is for its owner only: it holds rows of a database that others may not read.
    """
    duck = duckdb.connect(
        path,
        read_only=read_only,
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": os.fspath(path.with_name(path.name + ".tmp")),
            "max_temp_directory_size": "2GB",
            # Returns the memory of an answer to the system. DuckDB's allocator would keep it for the next answer.
            "allocator_background_threads": True,
            "allocator_flush_threshold": "16MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            # A checkpoint merges row groups, which removes deleted rows; otherwise the file, and the part of it that is
            # kept in memory, grow with every commit. One merge is enough, and limits what a checkpoint rewrites.
            "max_vacuum_tasks": 1,
            # After a crash of the machine, unwritten data fail DuckDB's checksums, and the mirror is rebuilt.
            "fsync_mode": "NONE",
            # A snapshot shows the state when it was taken, not when its first statement runs.
            "immediate_transaction_mode": True,
        },
    )
    for file in (path, path.with_name(path.name + ".wal")):
        with suppress(OSError):  # there may be none
            file.chmod(0o600)
    return duck


def read_meta(connection: duckdb.DuckDBPyConnection) -> Meta:
    """Return the state that a mirror records. Raises ValueError if it is unfinished or has another layout."""
    try:
        rows = connection.execute("SELECT json FROM state").fetchall()
    except duckdb.CatalogException as error:
        raise ValueError("the mirror was not finished") from error
    if len(rows) != 1:
        raise ValueError("the mirror was not finished")
    try:
        meta = msgspec.json.decode(rows[0][0], type=Meta)
    except msgspec.DecodeError as error:
        raise ValueError("the mirror has another layout") from error
    if meta.layout_version != COLUMN_LAYOUT_VERSION:
        raise ValueError("the mirror has another layout")
    return meta


class Place:
    """A place in a folder for the mirror of one database, which no other process (or store) uses while it is held."""

    def __init__(self, folder: Path, source: Path) -> None:
        """Take the first free place. Raises OSError if the folder cannot be created or written, or is full."""
        _make_private(folder)
        name = hashlib.sha256(os.fsencode(source.absolute())).hexdigest()[:16]
        for slot in range(_SLOTS):
            self._stem = f"{_PREFIX}{name}-{slot}"
            self._folder = folder
            lock = os.open(folder / f"{self._stem}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.fchmod(lock, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            self._file = lock
            return
        raise OSError(f"{folder} holds {_SLOTS} mirrors of {source} already")

    def found(self) -> list[Path]:
        """Return the mirrors in this place, newest first."""
        files = [path for path in self._folder.glob(f"{self._stem}-*{_SUFFIX}") if path.is_file()]
        return sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def new(self) -> tuple[Path, Path]:
        """Return a path to build a mirror at, and the path that it is to have when it is finished."""
        name = f"{self._stem}-{os.urandom(6).hex()}"
        return self._folder / f"{name}.building", self._folder / f"{name}{_SUFFIX}"

    def tidy(self, keep: Path | None) -> None:
        """Delete everything in this place except one mirror: files that killed processes left."""
        for path in self._folder.glob(f"{self._stem}-*"):
            if keep is None or not path.name.startswith(keep.name):
                delete_mirror(path)

    def leave(self) -> None:
        """Release the place to other processes."""
        os.close(self._file)


def _make_private(folder: Path) -> None:
    """Create a folder for this user only, or make an existing one private unless it holds anything but mirrors.

    Raises OSError that says what to do about a folder of another user.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise OSError(
            f"{folder} belongs to another user; "
            f"make it this user's: sudo install -d -m 0700 -o {os.geteuid()} {shlex.quote(os.fspath(folder))}"
        )
    if status.st_mode & 0o077 and all(path.name.startswith(_PREFIX) for path in folder.iterdir()):
        folder.chmod(0o700)


def delete_mirror(path: Path) -> None:
    """Delete a mirror and the files that DuckDB keeps next to it. Missing files are not an error."""
    for leftover in (path, path.with_name(path.name + ".wal"), path.with_name(path.name + ".tmp")):
        with suppress(OSError):
            if leftover.is_dir():
                for inside in leftover.iterdir():
                    inside.unlink()
                leftover.rmdir()
            else:
                leftover.unlink()


def cache_folders() -> tuple[Path, ...]:
    """Return folders for mirrors, best first: the user's cache folder and the folder for temporary files."""
    folders = []
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if Path(cache).is_absolute():
        folders.append(Path(cache))
    else:
        with contextlib.suppress(RuntimeError):  # users without a home folder
            folders.append(Path.home() / ".cache")
    folders.append(Path(tempfile.gettempdir()))
    name = f"ceems-grpc-{os.geteuid()}"
    return tuple(folder / name for folder in folders)


def memory_folders() -> tuple[Path, ...]:
    """Return folders that are kept in memory."""
    return (Path(f"/dev/shm/ceems-grpc-{os.geteuid()}"),)  # noqa: S108 - made with mode 0700, and checked  # nosec B108
