"""The state of a database file: what a copy of it says it shows."""

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

    ``commits`` counts commits (and wraps at 32 bits), ``frames`` is the last frame of the newest commit, ``salts``
    are others after the log was started again from its beginning. ``folded``: frames that were in the database already.
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
    """The state of a database. Two equal versions are the same content; other versions may also be the same content.

    ``change_counter`` is the header's, which commits in rollback mode increment; ``wal`` is None without a readable
    WAL-index.
    """

    database: FileState | None
    log: FileState | None
    change_counter: int
    wal_mode: bool
    wal: WalState | None
