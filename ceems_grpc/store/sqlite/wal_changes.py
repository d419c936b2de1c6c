"""The rows that the newest commits in the write-ahead log touched. Only complete, committed frames are read.

The formats are those of https://www.sqlite.org/fileformat2.html.
"""

import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from ceems_grpc.store.columnar.file_version import Version, WalState
from ceems_grpc.store.sqlite.wal import companion, read_wal_state

_WAL_HEADER = 32
_FRAME_HEADER = 24
_TABLE_LEAF = 0x0D
_TREE_PAGES = frozenset({0x02, 0x05, 0x0A, _TABLE_LEAF})
_NOT_LAST = bytes(range(0x80, 0x100))  # of a varint
_COUNT = 1 << 32  # counters wrap at 32 bits


@dataclass(frozen=True, slots=True)
class Changes:
    """Row ids on changed pages of tables: all changed rows, and others on the same pages.

    ``rows`` is {number of columns of a row on the page: ids}; a row may hold fewer columns than its table, never more.
    Rows that `SeenRows` knows to be unchanged are left out. ``other_pages``: pages were written that are not tree
    pages, such as overflow pages of rows that are larger than a page. ``digests``: for `SeenRows.remember`.
    """

    rows: Mapping[int, frozenset[int]]
    other_pages: bool
    digests: Mapping[tuple[int, int], bytes | None]


class SeenRows:
    """Digests of rows on changed pages, so that only the changed rows of a page are read.

    An update mostly writes the same pages as the previous one: those of running units, which also hold ended units. A
    digest covers a row and the number of its page, and is stored by the row's number of columns and id. It proves that
    the row is unchanged only while the row is in the copy, so ids that leave the copy must be forgotten.
    """

    def __init__(self, most: int = 30_000) -> None:
        self._most = most
        self._version: Version | None = None
        self._digests: dict[tuple[int, int], bytes] = {}

    def at(self, version: Version) -> Mapping[tuple[int, int], bytes]:
        """Return the digests of rows in that state of the database."""
        return self._digests if version == self._version else {}

    def remember(self, changes: Changes, old: Version, new: Version) -> None:
        """Add the digests of rows in the new state, which a copy with the old state is about to show."""
        if old != self._version:
            self._digests.clear()
        self._version = new
        for row, digest in changes.digests.items():
            self._digests.pop(row, None)
            if digest is not None:
                self._digests[row] = digest  # the newest are last
        for row in list(islice(self._digests, max(0, len(self._digests) - self._most))):
            del self._digests[row]

    def forget(self, columns: int, ids: Iterable[int]) -> None:
        """Forget these rows with this number of columns."""
        for row in ids:
            self._digests.pop((columns, row), None)

    def keep(self, columns: int, ids: Collection[int]) -> None:
        """Forget rows with at most this number of columns, except these ids."""
        kept = frozenset(ids)
        gone = [key for key in self._digests if key[0] <= columns and key[1] not in kept]
        for key in gone:
            del self._digests[key]

    def forget_up_to(self, last: int | None) -> None:
        """Forget rows with ids up to ``last``, or all rows."""
        self._digests = {} if last is None else {key: kept for key, kept in self._digests.items() if key[1] > last}


def changes_since(
    path: Path, old: Version, new: Version, *, across_restarts: bool, seen: SeenRows | None = None
) -> Changes | None:
    """Return the rows that commits after ``old`` up to ``new`` touched, or None if the log does not hold all of them.

    ``new`` must be what `read_version` returned within the read transaction that is going to read the rows.
    ``across_restarts``: also read a log that has restarted from its beginning. The commits are counted to prove that
    none is missing. This needs a connection that was open all the time, otherwise the count may have restarted.
    ``seen``: the digests of the old state, which are not changed.

    The result is also None in rollback mode, and if the log was deleted, as SQLite does when the last process closes
    the database: the file itself does not say which of its pages changed. Digests of all pages would show it, but would
    cost one read of the whole file for each look that the log cannot answer, and one for each filling.
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
        return None  # a new WAL-index restarts the count
    if before.commits == after.commits and before.folded == before.frames and old.database != new.database:
        return None  # the log was folded completely, so another program has written to the file
    first = before.frames if before.salts == after.salts else 0
    if first > after.frames or (before.salts != after.salts and not across_restarts):
        return None
    pages = _read_frames(companion(path, "-wal"), first, after)
    if pages is None or pages.commits != (after.commits - before.commits) % _COUNT:
        return None  # commits are missing: the log has restarted more than once
    now = read_wal_state(path)
    if now is None or now.salts != after.salts:
        return None  # the log restarted while it was read
    try:
        return _rows_of(pages.newest, {} if seen is None else seen.at(old))
    except (IndexError, struct.error):  # contradicts the format
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


def _rows_of(pages: Mapping[int, bytes], known: Mapping[tuple[int, int], bytes]) -> Changes:
    rows: dict[int, set[int]] = {}
    digests: dict[tuple[int, int], bytes | None] = {}
    other = False
    for number, page in pages.items():
        if number == 1:
            continue  # the list of tables; if it changes, so does the schema's version
        if page[0] == _TABLE_LEAF:
            columns, found = _leaf(page, number)
            changed = rows.setdefault(columns, set())
            for row, digest in found.items():
                key = (columns, row)
                if key in digests:  # also on a page that is now free or belongs to another table
                    digests[key] = None
                    changed.add(row)
                    continue
                digests[key] = digest
                if digest is None or known.get(key) != digest:
                    changed.add(row)
        elif page[0] not in _TREE_PAGES:
            other = True
    return Changes({columns: frozenset(ids) for columns, ids in rows.items()}, other, digests)


def _leaf(page: bytes, number: int) -> tuple[int, dict[int, bytes | None]]:
    """Return the number of columns of the first row of a table's leaf page, and a digest of each row by its id.

    Rows that may have parts on other pages have no digest.
    """
    count = int.from_bytes(page[3:5], "big")
    salt = number.to_bytes(8, "big")
    found: dict[int, bytes | None] = {}
    columns = 0
    most = len(page) - 35 - 255  # bytes of a row that stay on its page (section 1.6); part of a page may be reserved
    for place in struct.unpack_from(f">{count}H", page, 8):
        length, position = _varint(page, place)
        rowid, position = _varint(page, position)
        if not found:
            header, start = _varint(page, position)
            # Each column has one varint in the record's header; its last byte is the one below 128.
            columns = len(page[start : position + header].translate(None, _NOT_LAST))
        row = page[position : position + length]
        found[rowid] = blake2b(row, digest_size=16, salt=salt).digest() if length <= most else None
    return columns, found


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = data[position]
    if value < 0x80:
        return value, position + 1
    value = 0
    for _ in range(8):
        byte = data[position]
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position
    value = value << 8 | data[position]
    return (value - (1 << 64) if value >= 1 << 63 else value), position + 1
