"""A temporary file for the rows of an answer whose reader is slow. It has no name and disappears with the process."""

import os
import tempfile
import threading
from collections import deque
from typing import NamedTuple

import pyarrow as pa

from ceems_grpc.store.columnar.json_rows import JsonText

MOST_BYTES = 256 * 1024 * 1024  # of one file
MOST_BYTES_TOGETHER = 1024 * 1024 * 1024  # of all files of the process
_BATCH = -1

_lock = threading.Lock()
_together = 0


class SpillFullError(Exception):
    """The file, or all files together, would become too large."""


class _Place(NamedTuple):
    """Where an item is in the file. ``rows``: of a `JsonText`; -1 for a batch."""

    offset: int
    length: int
    rows: int


class SpillFile:
    """Items in the order in which they were written. One thread may write while another one reads."""

    def __init__(self) -> None:
        """Create the file in the folder for temporary files. Raises OSError."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed in `close`
        self._size = 0
        self._places: deque[_Place] = deque()

    @property
    def waiting(self) -> bool:
        """Return whether there is an item to read."""
        return bool(self._places)

    def write(self, item: pa.RecordBatch | JsonText) -> None:
        """Append an item. Raises `SpillFullError` and OSError."""
        data, rows = (item.text, item.num_rows) if isinstance(item, JsonText) else (_packed(item), _BATCH)
        _reserve(len(data), self._size + len(data))
        view, offset = memoryview(data), self._size
        while view:  # one call may write only a part
            view = view[os.pwrite(self._file.fileno(), view, offset + len(data) - len(view)) :]
        self._size += len(data)
        self._places.append(_Place(offset, len(data), rows))

    def read(self) -> pa.RecordBatch | JsonText:
        """Return the first item that has not been read yet. There must be one; see `waiting`."""
        place = self._places.popleft()
        data = os.pread(self._file.fileno(), place.length, place.offset)
        if place.rows != _BATCH:
            return JsonText(place.rows, data)
        with pa.ipc.open_stream(data) as stream:
            return stream.read_next_batch()

    def close(self) -> None:
        """Remove the file."""
        global _together  # noqa: PLW0603 - of the process
        self._file.close()
        with _lock:
            _together -= self._size
        self._size = 0


def _reserve(added: int, size: int) -> None:
    global _together  # noqa: PLW0603 - of the process
    with _lock:
        if size > MOST_BYTES or _together + added > MOST_BYTES_TOGETHER:
            raise SpillFullError
        _together += added


def _packed(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()
