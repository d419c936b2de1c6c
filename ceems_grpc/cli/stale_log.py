"""Finds out whether the write-ahead log beside a database was written for another file.

That happens when a backup is moved over a database whose `-wal` is left behind. The formats are those of
https://www.sqlite.org/fileformat2.html.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from ceems_grpc.store.sqlite.wal import read_wal_state

_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = {0x377F0682, 0x377F0683}
_TRIES = 3  # a checkpoint may write to the file while it is compared with the log


def is_stale(path: Path, log: Path) -> bool:
    """Return whether the database was written after its log, and not by a checkpoint of this log.

    A checkpoint copies pages from the log, so a file that is newer than its own log holds some of them. False in case
    of doubt. Raises OSError for files that cannot be read.
    """
    for _ in range(_TRIES):
        before = _times(path, log)
        if before[0] <= before[1]:
            return False
        stale = not _is_folded(path, log)
        if _times(path, log) == before:
            return stale
    return False


def _times(path: Path, log: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, log.stat().st_mtime_ns


def _is_folded(path: Path, log: Path) -> bool:
    """Return whether the file holds the pages that checkpoints of the log have written. True for an empty log.

    The index counts the folded frames, so the file holds each page of these frames that no later frame contains. A new
    index restarts the count. The file must then hold the pages as they are after some prefix of the log.
    """
    state = read_wal_state(path)
    folded = state.folded if state is not None else 0
    different: dict[int, int] = {}  # number of a page: its newest frame
    frame = 0
    with path.open("rb") as file:
        for frame, (number, page) in enumerate(_frames(log), 1):
            if os.pread(file.fileno(), len(page), (number - 1) * len(page)) == page:
                different.pop(number, None)
            else:
                different[number] = frame
            if folded <= 0 and not different:
                return True
    return frame == 0 or (folded > 0 and not any(newest <= folded for newest in different.values()))


def _frames(log: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number and content of each page, in the order in which the log was written."""
    with log.open("rb") as file:
        header = file.read(_HEADER)
        if len(header) < _HEADER:
            return
        magic, _, size = struct.unpack_from(">3I", header)
        if magic not in _MAGIC or not 512 <= size <= 65_536:
            return
        while len(frame := file.read(_FRAME_HEADER + size)) == _FRAME_HEADER + size and frame[8:16] == header[16:24]:
            yield int.from_bytes(frame[:4], "big"), frame[_FRAME_HEADER:]
