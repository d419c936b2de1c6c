"""The state of a database file, by which a copy records what it shows."""

from dataclasses import dataclass


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

    ``commits`` counts commits and wraps at 32 bits. ``frames`` is the last frame of the newest commit. ``salts``
    change whenever the log restarts from its beginning. ``folded``: frames that are already in the database file.
    """

    device: int
    inode: int
    commits: int
    frames: int
    page_size: int
    salts: tuple[int, int]
    checksum: tuple[int, int]
    folded: int = -1


@dataclass(frozen=True, slots=True)
class Version:
    """The state of a database. Equal versions mean equal content; different versions can have equal content too.

    ``change_counter`` is the counter in the file header, which commits in rollback mode increment. ``wal`` is None
    if there is no readable WAL-index.
    """

    database: FileState | None
    log: FileState | None
    change_counter: int
    wal_mode: bool
    wal: WalState | None
