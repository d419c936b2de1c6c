"""What SQLite keeps beside a database in WAL mode: which state it is in, and which rows the newest commits touched.

The formats are those of https://www.sqlite.org/fileformat2.html (database and write-ahead log) and
https://www.sqlite.org/walformat.html (WAL-index). Only whole, committed frames are looked at.
"""

import os
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_WAL_HEADER = 32
_FRAME_HEADER = 24
_SHM_HEADER = 48
_TABLE_LEAF = 0x0D
_TREE_PAGES = frozenset({0x02, 0x05, 0x0A, _TABLE_LEAF})
_COUNT = 1 << 32  # counters wrap at 32 bits


@dataclass(frozen=True, slots=True)
class FileState:
    """What the file system says of a file."""

    device: int
    inode: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class WalState:
    """The newest commit in the write-ahead log, from the WAL-index.

    ``commits`` counts commits (and wraps at 32 bits), ``frames`` is the last frame of the newest commit, ``salts``
    are others after the log was started again from its beginning.
    """

    device: int
    inode: int
    commits: int
    frames: int
    page_size: int
    salts: tuple[int, int]
    checksum: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Version:
    """The state of a database. Two equal versions are the same content; other versions may also be the same content.

    ``change_counter`` is the header's, which commits in rollback mode increment; ``wal`` is None without a readable
    WAL-index.
    """

    database: FileState | None
    log: FileState | None
    change_counter: int
    wal_mode: bool
    wal: WalState | None


@dataclass(frozen=True, slots=True)
class Changes:
    """Row ids that stand on changed pages of tables: more than changed, not less.

    ``rows`` is {number of columns of a row on the page: ids}; a row may hold fewer columns than its table, never more.
    ``other_pages``: pages were written that are no tree pages, such as the rest of rows that are larger than a page.
    """

    rows: Mapping[int, frozenset[int]]
    other_pages: bool


class _KeptFiles:
    """Open files that are never closed while they exist.

    SQLite locks files with POSIX locks, and a process loses all its locks on a file when it closes any descriptor of
    it (https://www.sqlite.org/howtocorrupt.html, section 2.2), so a file that SQLite uses here must not be opened and
    closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[tuple[int, int], int] = {}

    def read(self, path: Path, count: int) -> tuple[os.stat_result, bytes] | None:
        """Return what a file is and its first bytes, or None where it cannot be read."""
        with self._lock:
            try:
                found = path.stat()
                file = self._files.get((found.st_dev, found.st_ino))
                if file is None:
                    self._forget_deleted()
                    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    found = os.fstat(file)
                    self._files[found.st_dev, found.st_ino] = file
                return found, os.pread(file, count, 0)
            except OSError:
                return None

    def _forget_deleted(self) -> None:
        for identity, file in list(self._files.items()):
            if os.fstat(file).st_nlink == 0:
                os.close(self._files.pop(identity))


_kept = _KeptFiles()


def read_version(path: Path) -> Version:
    """Return the state of the database; cheap, and without a lock. Files that cannot be read count as absent."""
    header = _kept.read(path, 100)
    status, start = header if header is not None else (None, b"")
    is_sqlite = len(start) == 100
    return Version(
        database=_file_state(status),
        log=_file_state(_stat(_beside(path, "-wal"))),
        change_counter=int.from_bytes(start[24:28], "big") if is_sqlite else 0,
        wal_mode=is_sqlite and start[18] == 2 and start[19] == 2,
        wal=_read_wal_state(path),
    )


def changes_since(path: Path, old: Version, new: Version, *, across_restarts: bool) -> Changes | None:
    """Return what commits after ``old`` up to ``new`` touched, or None where the log does not hold all of them.

    ``new`` must be what `read_version` returned within the read transaction that is going to read the rows.
    ``across_restarts``: also where the log was started again from its beginning since. That is proven by counting
    commits, and needs a connection that was open all the time: without one the count may have begun anew.
    """
    before, after = old.wal, new.wal
    if before is None or after is None or old.database is None or new.database is None:
        return None
    if not (old.wal_mode and new.wal_mode):
        return None
    identity = (old.database.device, old.database.inode)
    if identity != (new.database.device, new.database.inode):
        return None
    if (before.device, before.inode) != (after.device, after.inode):
        return None  # a new WAL-index counts anew
    first = before.frames if before.salts == after.salts else 0
    if first > after.frames or (before.salts != after.salts and not across_restarts):
        return None
    pages = _read_frames(_beside(path, "-wal"), first, after)
    if pages is None or pages.commits != (after.commits - before.commits) % _COUNT:
        return None  # commits are missing: the log was started again more than once since
    now = _read_wal_state(path)
    if now is None or now.salts != after.salts:
        return None  # the log was started again while it was read
    try:
        return _rows_of(pages.newest)
    except (IndexError, struct.error):  # not what the format says
        return None


@dataclass(frozen=True, slots=True)
class _Frames:
    newest: Mapping[int, bytes]  # page number -> its newest content
    commits: int


def _read_frames(path: Path, first: int, wal: WalState) -> _Frames | None:
    size = _FRAME_HEADER + wal.page_size
    salts = struct.pack(">2I", *wal.salts)
    newest: dict[int, bytes] = {}
    commits = 0
    try:
        with path.open("rb") as file:  # SQLite puts no locks on the log itself
            if file.read(_WAL_HEADER)[16:24] != salts:
                return None
            file.seek(_WAL_HEADER + first * size)
            for _ in range(first, wal.frames):
                frame = file.read(size)
                if len(frame) != size or frame[8:16] != salts:
                    return None
                newest[int.from_bytes(frame[0:4], "big")] = frame[_FRAME_HEADER:]
                commits += frame[4:8] != b"\0\0\0\0"
    except OSError:
        return None
    return _Frames(newest, commits)


def _rows_of(pages: Mapping[int, bytes]) -> Changes:
    rows: dict[int, set[int]] = {}
    other = False
    for number, page in pages.items():
        if number == 1:
            continue  # the list of tables: a change of it shows in the schema's version
        if page[0] == _TABLE_LEAF:
            columns, ids = _leaf(page)
            rows.setdefault(columns, set()).update(ids)
        elif page[0] not in _TREE_PAGES:
            other = True
    return Changes({columns: frozenset(ids) for columns, ids in rows.items()}, other)


def _leaf(page: bytes) -> tuple[int, list[int]]:
    """Return how many columns the first row of a table's leaf page holds, and the ids of all its rows."""
    cells = int.from_bytes(page[3:5], "big")
    ids: list[int] = []
    columns = 0
    for place in struct.unpack_from(f">{cells}H", page, 8):
        position = place
        while page[position] > 0x7F:  # the payload's length, a varint of a few bytes
            position += 1
        rowid, position = _varint(page, position + 1)
        if not ids:
            length, start = _varint(page, position)
            # Each column has one varint in the record's header; its last byte is the one below 128.
            columns = sum(byte < 0x80 for byte in page[start : position + length])
        ids.append(rowid)
    return columns, ids


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = data[position]
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position
    value = value << 8 | data[position]
    return (value - (1 << 64) if value >= 1 << 63 else value), position + 1


def _read_wal_state(path: Path) -> WalState | None:
    for _ in range(100):  # the two copies differ while a commit is being written
        read = _kept.read(_beside(path, "-shm"), 2 * _SHM_HEADER)
        if read is None or len(read[1]) < 2 * _SHM_HEADER:
            return None
        status, data = read
        if data[:_SHM_HEADER] == data[_SHM_HEADER:]:
            break
    else:
        return None
    _, _, commits, is_ready, _, size, frames = struct.unpack_from("=IIIBBHI", data)
    if not is_ready:
        return None
    return WalState(
        device=status.st_dev,
        inode=status.st_ino,
        commits=commits,
        frames=frames,
        page_size=65_536 if size == 1 else size,
        salts=struct.unpack_from(">2I", data, 32),  # copied byte by byte from the log's header
        checksum=struct.unpack_from("=2I", data, 24),
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _file_state(status: os.stat_result | None) -> FileState | None:
    if status is None:
        return None
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
