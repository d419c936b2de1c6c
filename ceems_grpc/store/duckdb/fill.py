"""Builds a new mirror: reads the whole database in one read transaction and writes a DuckDB file.

A large database is read through ADBC in a separate process, so that this work and its memory do not affect answers.
``python -m ceems_grpc.store.duckdb.fill`` is that process.
"""

import contextlib
import os
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import duckdb
import msgspec

from ceems_grpc.store.columnar.layout import CannotMirrorError, Meta
from ceems_grpc.store.duckdb.files import open_duck
from ceems_grpc.store.duckdb.target import NewMirror
from ceems_grpc.store.follow.fill import fill_target
from ceems_grpc.store.runtime.umask import keep_new_files_private
from ceems_grpc.store.sqlite.source_rows import AdbcRows, PythonRows, Rows


class FillJob(msgspec.Struct, frozen=True):
    """What to read and where to write. ``memory_limit`` is DuckDB's, such as ``128MB``."""

    source: str
    target: str
    zone: str
    memory_limit: str


def fill(job: FillJob, *, adbc: bool = False) -> Meta:
    """Write the mirror to ``job.target``, which must not exist, and return the mirror's state.

    Raises `CannotMirrorError` if the database cannot be mirrored, and sqlite3.Error, OSError or duckdb.Error if a file
    cannot be read or written. An unfinished target has no table ``state``.
    """
    source = Path(job.source)
    rows: Rows = AdbcRows(source) if adbc else PythonRows(source)
    # One thread writes whole row groups. Several threads would write parts and then join them: twice the work.
    with closing(rows), closing(open_duck(Path(job.target), job.memory_limit, 1)) as duck:
        return fill_target(NewMirror(duck), rows, source, job.zone, threads=adbc, duck=duck)


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()  # ends when the parent ends, however it ends
    os._exit(1)


def main(arguments: list[str] | None = None) -> int:
    """Fill a mirror as the argument, a `FillJob` as JSON, describes. Ends when standard input is closed."""
    (text,) = sys.argv[1:] if arguments is None else arguments
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    keep_new_files_private()
    with contextlib.suppress(OSError):
        os.nice(5)  # answers have priority
    try:
        fill(msgspec.json.decode(text, type=FillJob), adbc=True)
    except (CannotMirrorError, sqlite3.Error, OSError, duckdb.Error) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 3 if isinstance(error, CannotMirrorError) else 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the thread that waits for the parent must not keep the process alive
