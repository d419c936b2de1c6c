"""Makes a new mirror: reads the whole database in one read transaction and writes a DuckDB file.

A large database is read by ADBC, in a process of its own. That keeps memory and work apart from answering, and it must
be so: ADBC brings its own SQLite, and two SQLites in one process lose each other's locks on a file (section 2.2.1 of
https://www.sqlite.org/howtocorrupt.html). ``python -m ceems_grpc.store.mirror_fill`` is that process.
"""

import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote as quote_url
from zoneinfo import ZoneInfo

import duckdb
import msgspec
import pyarrow as pa

from ceems_grpc.store.mirror_layout import (
    INTEGERS,
    LAYOUT_VERSION,
    ROW,
    CannotMirrorError,
    Layout,
    Meta,
    TableLayout,
    write_state,
)
from ceems_grpc.store.mirror_load import Loader
from ceems_grpc.store.plan import Table
from ceems_grpc.store.wal import Version, read_version

_TRIES = 20
_ROWS_A_BATCH = 10_240
_MACHINE_ZONE = "/etc/localtime"


class FillJob(msgspec.Struct, frozen=True):
    """What to read and where to write. ``memory_limit`` is DuckDB's, such as ``128MB``."""

    source: str
    target: str
    zone: str
    memory_limit: str


class Rows(Protocol):
    """A connection to the database within a read transaction."""

    def one(self, statement: str) -> Any:  # noqa: ANN401 - whatever SQLite holds
        """Return the first column of the first row, or None."""
        ...

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Return rows as Arrow."""
        ...


class PythonRows:
    """Rows through Python's own SQLite: for small databases and for single rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def one(self, statement: str) -> Any:  # noqa: ANN401 - whatever SQLite holds
        """Return the first column of the first row, or None."""
        row = self._connection.execute(statement).fetchone()
        return row[0] if row else None

    def batches(self, statement: str, parameters: tuple[object, ...] = ()) -> Iterator[pa.RecordBatch]:
        """Return rows as Arrow: integer columns as int64, others as text."""
        cursor = self._connection.execute(statement, parameters)
        names = [item[0] for item in cursor.description]
        schema = pa.schema([(name, pa.int64() if name in INTEGERS or name == ROW else pa.string()) for name in names])
        while rows := cursor.fetchmany(4096):
            try:
                arrays = [
                    pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)
                ]
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
                raise CannotMirrorError(f"a column holds values of several kinds: {error}") from error
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


class AdbcRows:
    """Rows through ADBC, in C: several times faster, but only for a process that opens the file in no other way."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the driver's module is only loaded where it is used
        self._connection = connection

    def one(self, statement: str) -> Any:  # noqa: ANN401 - whatever SQLite holds
        """Return the first column of the first row, or None."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
        return row[0] if row else None

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Return rows as Arrow, of the types that the first rows have."""
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_ROWS_A_BATCH)})
            try:
                cursor.execute(statement)
                yield from cursor.fetch_record_batch()
            except OSError as error:
                raise CannotMirrorError(f"the rows cannot be read as columns: {error}") from error


def fill(job: FillJob, *, adbc: bool = False) -> Meta:
    """Write the mirror to ``job.target``, which must not exist, and return what it says of itself.

    Raises `CannotMirrorError` where the database cannot be mirrored, and sqlite3.Error, OSError or duckdb.Error where
    a file cannot be read or written. A target that was not finished has no table state.
    """
    source = Path(job.source)
    zone = zone_of_text(job.zone)
    with contextmanager(_open_adbc if adbc else _open_python)(source) as rows:
        version = consistent_version(source, rows)
        layout = read_layout(rows, job.zone)
        page_size = int(rows.one("PRAGMA page_size"))
        # One thread writes whole row groups; several write parts, which are then put together: twice the work.
        with closing(open_duck(Path(job.target), job.memory_limit, 1)) as duck:
            for name, table in layout.tables.items():
                loader = Loader(duck, Table(name), table, zone, page_size)
                loader.create()
                batches = rows.batches(loader.source())
                if adbc:
                    loader.add_all_at_once(batches)
                else:
                    loader.add_all(batches)
            meta = Meta(os.urandom(8).hex(), LAYOUT_VERSION, job.source, version, layout)
            write_state(duck, meta)
            duck.execute("CHECKPOINT")
    return meta


def read_layout(rows: Rows, zone: str) -> Layout:
    """Return the tables of the database with their columns; which keys there are is found by filling."""
    tables: dict[str, TableLayout] = {}
    for table in Table:
        listed = rows.one(f"SELECT json_group_array(name) FROM pragma_table_info('{table}')")  # noqa: S608 - a constant name
        columns = tuple(msgspec.json.decode(listed, type=list[str]))
        kind = rows.one(f"SELECT type FROM sqlite_master WHERE name = '{table}'")  # noqa: S608 - a constant name
        if not columns or kind is None:
            continue
        if kind != "table" or len({column.lower() for column in columns}) != len(columns):
            raise CannotMirrorError(f"{table} is a {kind}")
        tables[table] = TableLayout(columns)
    return Layout(zone, int(rows.one("PRAGMA schema_version")), tables)


def consistent_version(source: Path, rows: Rows) -> Version:
    """Start the read transaction, and return the version of the database that it sees.

    The connection must not have read anything in its transaction before; it may have to begin it again.
    """
    for _ in range(_TRIES):
        before = read_version(source)
        rows.one("SELECT count(*) FROM sqlite_master")
        if read_version(source) == before:
            return before
        rows.one("ROLLBACK")
        rows.one("BEGIN")
        time.sleep(0.01)
    raise CannotMirrorError("the database changes all the time")


def open_duck(path: Path, memory_limit: str, threads: int, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file with bounded memory and threads, and without the right to load or download extensions."""
    return duckdb.connect(
        path,
        read_only=read_only,
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": os.fspath(path.with_name(path.name + ".tmp")),
            "max_temp_directory_size": "2GB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            # What a crash of the machine leaves unwritten fails DuckDB's checksums, and is made anew.
            "fsync_mode": "NONE",
        },
    )


def text_of_zone(zone: tzinfo) -> str:
    """Write a zone so that `zone_of_text` finds it again in another process."""
    if isinstance(zone, ZoneInfo):
        return zone.key or _MACHINE_ZONE
    offset = zone.utcoffset(None)
    if offset is None:
        raise CannotMirrorError(f"the zone {zone} has no name")
    return f"{int(offset.total_seconds()):+d}"


def zone_of_text(text: str) -> tzinfo:
    """Return the zone that `text_of_zone` wrote."""
    if text[:1] in "+-":
        return timezone(timedelta(seconds=int(text))) if int(text) else UTC
    with contextlib.suppress(ValueError, OSError, KeyError):
        return ZoneInfo(text)
    with Path(_MACHINE_ZONE).open("rb") as file:
        return ZoneInfo.from_file(file, key=text)


def connect_sqlite(source: Path) -> sqlite3.Connection:
    """Open the database through Python's SQLite, never to be written."""
    uri = f"file:{quote_url(os.fspath(source.absolute()))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA mmap_size = 0")
    return connection


def _open_python(source: Path) -> Iterator[Rows]:
    with closing(connect_sqlite(source)) as connection:
        connection.execute("BEGIN")
        yield PythonRows(connection)


def _open_adbc(source: Path) -> Iterator[Rows]:
    from adbc_driver_sqlite import dbapi  # noqa: PLC0415 - see the head of this file

    uri = f"file:{quote_url(os.fspath(source.absolute()))}?mode=ro"
    with closing(dbapi.connect(uri, autocommit=True)) as connection:
        rows = AdbcRows(connection)
        rows.one("PRAGMA query_only = ON")
        rows.one("BEGIN")
        yield rows


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()  # ends when the parent ends, however it ends
    os._exit(1)


def main(arguments: list[str] | None = None) -> int:
    """Fill a mirror as the one argument, a `FillJob` as JSON, says. Lives no longer than its standard input is open."""
    (text,) = sys.argv[1:] if arguments is None else arguments
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):
        os.nice(5)  # who waits for an answer goes first
    try:
        fill(msgspec.json.decode(text, type=FillJob), adbc=True)
    except (CannotMirrorError, sqlite3.Error, OSError, duckdb.Error) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 3 if isinstance(error, CannotMirrorError) else 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the thread that waits for the parent must not keep the process
