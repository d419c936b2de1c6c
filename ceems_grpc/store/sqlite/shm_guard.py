"""Which WAL-index the connections of this process to a database use.

SQLite opens the index once for all connections of a process to one file, and keeps it while any of them is open, also
when it has been deleted and made anew by others (as by who restores a backup into the same file). Connections to the
old one see neither commits nor locks of a writer that uses the new one. So when the index has changed, all connections
must be closed before the next is opened.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class FileIdentity(NamedTuple):
    """Which file a database is, and which file its index (0: there is none, or SQLite has not opened it yet)."""

    device: int
    inode: int
    wal_index: int


@dataclass
class _Use:
    connections: int
    index: int


_lock = threading.Lock()
_uses: dict[tuple[int, int], _Use] = {}


def identity_of(path: Path) -> FileIdentity:
    """Look at the files. Raises OSError where there is no database."""
    found = path.stat()
    try:
        index = path.with_name(path.name + "-shm").stat().st_ino
    except OSError:
        index = 0
    return FileIdentity(found.st_dev, found.st_ino, index)


def enter(file: FileIdentity) -> bool:
    """Count a connection that is about to be opened; False where earlier ones must be closed first."""
    with _lock:
        use = _uses.setdefault(file[:2], _Use(0, file.wal_index))
        if use.connections and use.index not in {0, file.wal_index}:
            return False
        use.connections += 1
        use.index = file.wal_index
        return True


def opened(file: FileIdentity) -> None:
    """Note the index that SQLite has made, or opened, for the first connection."""
    with _lock:
        use = _uses.get(file[:2])
        if use is not None and not use.index:
            use.index = file.wal_index


def leave(file: FileIdentity) -> None:
    """Count a connection that has been closed."""
    with _lock:
        use = _uses[file[:2]]
        use.connections -= 1
        if not use.connections:
            del _uses[file[:2]]
