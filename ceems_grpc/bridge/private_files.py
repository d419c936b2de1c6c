"""Reads files that hold secrets."""

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXO
_GROUP_WRITES = stat.S_IWGRP

Version = tuple[int, int, int, int]


class SecretFileError(Exception):
    """A file cannot be used. The message says why and what to do."""


def read_private(path: Path) -> bytes:
    """Read a file that only its owner and group may read, and only its owner may write."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretFileError(f"{path} cannot be read: {error.strerror}.") from None
    # Of the open file, because the path could name another file by now.
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise SecretFileError(f"{path} is not a file.")
    with os.fdopen(descriptor, "rb") as file:
        if mode & (_OTHERS | _GROUP_WRITES):
            raise SecretFileError(
                f"{path} is open to other users (mode {stat.S_IMODE(mode):04o}). Run chmod 0600 on it, or chmod 0640 "
                "if it has a group of its own."
            )
        return file.read()


def read_public(path: Path) -> bytes:
    """Read a file whose permissions do not matter."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SecretFileError(f"{path} cannot be read: {error.strerror}.") from None


def version_of(path: Path) -> Version | None:
    """Return a value that changes when the file is written or replaced; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
