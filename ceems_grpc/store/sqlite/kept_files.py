"""Files that are kept open as long as they exist on the disk.

SQLite locks files with POSIX locks, and a process loses all its locks on a file when it closes any descriptor of it
(https://www.sqlite.org/howtocorrupt.html, section 2.2). So a file that SQLite uses in this process must not be opened
and closed by any other code.
"""

import fcntl
import os
import stat
import struct
import sys
import threading
from pathlib import Path


class KeptFiles:
    """Reads the first bytes of files, and keeps the files open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[tuple[int, int], int] = {}

    def read(self, path: Path, count: int) -> tuple[os.stat_result, bytes] | None:
        """Return the status of a regular file and its first bytes, or None if it cannot be read."""
        with self._lock:
            try:
                found = path.stat()
                # A pipe without a writer would block the caller and, through the lock, all others.
                if not stat.S_ISREG(found.st_mode):
                    return None
                if not may_read(path):
                    return None  # the open file could still be read although the file's new mode forbids it
                file = self._files.get((found.st_dev, found.st_ino))
                if file is None:
                    self._forget_deleted()
                    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may have become a pipe
                    found = os.fstat(file)
                    self._files[found.st_dev, found.st_ino] = file
                return found, os.pread(file, count, 0)
            except OSError:
                return None

    def is_locked(self, path: Path, place: int) -> bool:
        """Return whether another process locks that byte of a file that is kept open; False if that is unknown."""
        if not sys.platform.startswith("linux"):
            return False  # the structure below is specific to Linux
        with self._lock:
            try:
                found = path.stat()
                file = self._files.get((found.st_dev, found.st_ino))
                if file is None:
                    return False
                asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
                (kind, *_) = struct.unpack("hhqqi", fcntl.fcntl(file, fcntl.F_GETLK, asked))
            except OSError:
                return False
        return bool(kind != fcntl.F_UNLCK)

    def _forget_deleted(self) -> None:
        for identity, file in list(self._files.items()):
            if os.fstat(file).st_nlink == 0:
                os.close(self._files.pop(identity))


def may_read(path: Path) -> bool:
    """Return whether the process may open the file."""
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
