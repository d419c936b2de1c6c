"""The state of a database and its write-ahead log, read from the files.

The formats are those of https://www.sqlite.org/fileformat2.html (database and write-ahead log) and
https://www.sqlite.org/walformat.html (WAL-index).
"""

import os
import struct
from pathlib import Path

from ceems_grpc.store.columnar.file_version import FileState, Version, WalState
from ceems_grpc.store.sqlite.kept_files import KeptFiles

_SHM_HEADER = 48
_SHM_FOLDED = 96  # where the index stores how many frames are already in the database
_SHM_WRITE_LOCK = 120  # the byte that a writer locks from its first change until it has committed

_kept = KeptFiles()


def read_version(path: Path) -> Version:
    """Return the state of the database, cheaply and without a lock. Files that cannot be read count as absent."""
    header = _kept.read(path, 100)
    status, start = header if header is not None else (None, b"")
    is_sqlite = len(start) == 100
    return Version(
        database=_file_state(status),
        log=_file_state(_stat(companion(path, "-wal"))),
        change_counter=int.from_bytes(start[24:28], "big") if is_sqlite else 0,
        wal_mode=is_sqlite and start[18] == 2 and start[19] == 2,
        wal=read_wal_state(path),
    )


def wants_gap(path: Path, least: int) -> bool:
    """Return whether a writer is at work that needs a moment without readers when it commits.

    After a commit, SQLite folds the log into the database, but only up to the state that the oldest reader sees. The
    log can restart from its beginning only when it is folded completely (https://www.sqlite.org/wal.html#ckpt, on
    checkpoint starvation). Readers that overlap all the time would let it grow forever. ``least``: the bytes of the log
    from which this matters.
    """
    read = _kept.read(companion(path, "-shm"), _SHM_FOLDED + 4)
    if read is None or len(read[1]) < _SHM_FOLDED + 4:
        return False
    size, frames = struct.unpack_from("=HI", read[1], 14)
    (folded,) = struct.unpack_from("=I", read[1], _SHM_FOLDED)
    if folded >= frames or frames * (65_536 if size == 1 else size) < least:
        return False
    return _kept.is_locked(companion(path, "-shm"), _SHM_WRITE_LOCK)


def read_wal_state(path: Path) -> WalState | None:
    """Return the newest commit in the log, or None if there is no WAL-index that can be read."""
    for _ in range(100):  # the two copies differ during a commit
        read = _kept.read(companion(path, "-shm"), _SHM_FOLDED + 4)
        if read is None or len(read[1]) < _SHM_FOLDED + 4:
            return None
        status, data = read
        if data[:_SHM_HEADER] == data[_SHM_HEADER : 2 * _SHM_HEADER]:
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
        folded=struct.unpack_from("=I", data, _SHM_FOLDED)[0],
    )


def companion(path: Path, suffix: str) -> Path:
    """Return the path of a file that SQLite keeps next to the database."""
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
