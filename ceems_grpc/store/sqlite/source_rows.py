"""Reads rows of the database to copy them: in one transaction, as Arrow, through one of two SQLite libraries.

Two SQLite libraries in one process lose each other's locks on a file (section 2.2.1 of
https://www.sqlite.org/howtocorrupt.html). So ADBC, which brings its own library, is only for a process that opens the
file in no other way.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote as quote_url

import msgspec
import pyarrow as pa

from ceems_grpc.schema import INTEGERS, Type, declared_type, is_new_column
from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.columnar.layout import ROW, CannotMirrorError, Layout, TableLayout
from ceems_grpc.store.plan import Table
from ceems_grpc.store.sqlite.guard import GuardedConnection
from ceems_grpc.store.sqlite.wal import read_version

_TRIES = 20
_ROWS_A_BATCH = 10_240
_MACHINE_ZONE = "/etc/localtime"


class Rows(Protocol):
    """A connection to the database."""

    def one(self, statement: str) -> Any:  # noqa: ANN401 - whatever SQLite holds
        """Return the first column of the first row, or None. BEGIN and ROLLBACK are statements too."""
        ...

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Return rows as Arrow."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class PythonRows:
    """Rows through Python's own SQLite: for small databases and for single rows."""

    def __init__(self, source: Path) -> None:
        """Open the database read-only. Raises sqlite3.Error."""
        self._connection = connect_sqlite(source)

    def one(self, statement: str) -> Any:  # noqa: ANN401 - whatever SQLite holds
        """Return the first column of the first row, or None."""
        row = self._connection.execute(statement).fetchone()
        return row[0] if row else None

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Return rows as Arrow: integer columns as int64, others as text."""
        cursor = self._connection.execute(statement)
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

    def interrupt(self) -> None:
        """End the statement that runs in another thread, which then raises sqlite3.OperationalError."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class AdbcRows:
    """Rows through ADBC, in C: several times faster, but only for a process that opens the file in no other way."""

    def __init__(self, source: Path) -> None:
        """Open the database read-only. Raises the driver's errors."""
        from adbc_driver_sqlite import dbapi  # noqa: PLC0415 - see the head of this file

        # The driver's module, and so its types, are loaded only when it is used.
        self._connection: Any = dbapi.connect(_uri(source), autocommit=True)
        self.one("PRAGMA query_only = ON")
        self.one("PRAGMA busy_timeout = 5000")

    def one(self, statement: str) -> Any:  # noqa: ANN401 - whatever SQLite holds
        """Return the first column of the first row, or None."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
        return row[0] if row else None

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Return rows as Arrow, with the types of the first rows."""
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_ROWS_A_BATCH)})
            try:
                cursor.execute(statement)
                yield from cursor.fetch_record_batch()
            except OSError as error:
                raise CannotMirrorError(f"the rows cannot be read as columns: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def read_layout(rows: Rows, zone: str) -> Layout:
    """Return the tables of the database with their columns. Their keys are found later by reading the rows."""
    tables: dict[str, TableLayout] = {}
    for table in Table:
        listed = rows.one(f"SELECT json_group_array(json_array(name, type)) FROM pragma_table_info('{table}')")  # noqa: S608 - a constant name
        declared = dict(msgspec.json.decode(listed, type=list[tuple[str, str]]))
        columns = tuple(declared)
        kind = rows.one(f"SELECT type FROM sqlite_master WHERE name = '{table}'")  # noqa: S608 - a constant name
        if not columns or kind is None:
            continue
        if kind != "table" or len({column.lower() for column in columns}) != len(columns):
            raise CannotMirrorError(f"{table} is a {kind}")
        new = {name: declared_type(declared[name]) for name in columns if is_new_column(table, name)}
        tables[table] = TableLayout(columns)
        tables[table].numbers.update((name, type_) for name, type_ in new.items() if type_ is not Type.TEXT)
    return Layout(zone, int(rows.one("PRAGMA schema_version")), tables)


def consistent_version(source: Path, rows: Rows) -> Version:
    """Start reading in the transaction, and return the version of the database that it sees.

    The connection must have begun a transaction without reading anything in it. The transaction may be restarted.
    """
    for _ in range(_TRIES):
        before = read_version(source)
        rows.one("SELECT count(*) FROM sqlite_master")
        if read_version(source) == before:
            return before
        rows.one("ROLLBACK")
        rows.one("BEGIN")
        time.sleep(0.01)
    raise CannotMirrorError("the database changes too often")


def connect_sqlite(source: Path) -> sqlite3.Connection:
    """Open the database read-only through Python's SQLite."""
    return sqlite3.connect(
        _uri(source),
        uri=True,
        isolation_level=None,
        timeout=5.0,
        check_same_thread=False,
        factory=GuardedConnection,
    )


def _uri(source: Path) -> str:
    return f"file:{quote_url(os.fspath(source.absolute()))}?mode=ro"
