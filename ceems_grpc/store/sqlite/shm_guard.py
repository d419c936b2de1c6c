"""The WAL-index that the connections of this process to a database use.

SQLite opens the WAL-index once for all connections of a process to a file. It keeps the index open as long as any
connection is open, even if another program has deleted and recreated it, as restoring a backup into the same file does.
Connections that use the old index see neither the commits nor the locks of a writer that uses the new one. Therefore,
when the index has changed, all connections must be closed before another one is opened.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class FileIdentity(NamedTuple):
    """Identifies a database file and its WAL-index (inode 0: there is none, or SQLite has not opened it yet)."""

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
    """Return the identity of the files as they are now. Raises OSError if there is no database."""
    found = path.stat()
    try:
        index = path.with_name(path.name + "-shm").stat().st_ino
    except OSError:
        index = 0
    return FileIdentity(found.st_dev, found.st_ino, index)


def register_connection(file: FileIdentity) -> bool:
    """Count a connection that is about to be opened. Return False if earlier connections must be closed first."""
    with _lock:
        use = _uses.setdefault(file[:2], _Use(0, file.wal_index))
        if use.connections and use.index not in {0, file.wal_index}:
            return False
        use.connections += 1
        use.index = file.wal_index
        return True


def record_wal_index(file: FileIdentity) -> None:
    """Record the index that SQLite created or opened for the first connection."""
    with _lock:
        use = _uses.get(file[:2])
        if use is not None and not use.index:
            use.index = file.wal_index


def unregister_connection(file: FileIdentity) -> None:
    """Stop counting a connection that has been closed."""
    with _lock:
        use = _uses[file[:2]]
        use.connections -= 1
        if not use.connections:
            del _uses[file[:2]]
