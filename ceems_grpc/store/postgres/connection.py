"""One connection to PostgreSQL through ADBC: statements with parameters in, Arrow out.

All methods block and must be called in a worker thread, except `PostgresConnection.cancel`, which any thread may call.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_postgresql import dbapi

Error = adbc_driver_manager.Error

_LEAST_SECRET = 4  # characters
_NO_COPY = {"adbc.postgresql.use_copy": "false"}
# Limits on libpq's waiting unless the URL sets others, so that a server that is gone does not hold up a question.
_PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "application_name": "ceems-grpc",
}
# libpq looks for a password and a client certificate in the home folder, and sends them to any server that asks.
# A path that cannot exist prevents that.
_NOWHERE = "/dev/null/none"
_NO_FILES = {"passfile": _NOWHERE, "sslcert": _NOWHERE}
_SESSION = (
    "SET TimeZone = 'UTC'",
    "SET standard_conforming_strings = on",  # a backslash in a literal is a backslash
    "SET extra_float_digits = 1",  # numbers as text are read back as the same numbers
    "SET search_path = pg_catalog",
    "SET enable_partitionwise_aggregate = on",  # shards sum their own rows
    "SET jit = off",  # JIT compilation takes longer than most questions
    "SET cursor_tuple_fraction = 1.0",  # cursors are read to their end
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is: a URL in libpq's form, and the password.

    ``uses_home``: whether libpq may take a password (.pgpass) and a client certificate from the user's home folder. It
    must not do so if another person chooses the server, who could then collect these secrets.
    """

    url: str
    password: str = field(repr=False)
    uses_home: bool = False

    def for_libpq(self) -> str:
        """Return the URL with the password, and with limits on waiting."""
        parts = urlsplit(self.url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        files = {} if self.uses_home else _NO_FILES
        options = {**_PATIENCE, **files, **given, **({"password": self.password} if self.password else {})}
        query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in options.items())
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))

    def without_secrets(self, text: str) -> str:
        """Remove the password from a text, however it is encoded there.

        libpq's own messages contain no password. A very short password is not removed, because the gap in a word would
        reveal it.
        """
        if len(self.password) >= _LEAST_SECRET:
            for secret in (self.password, quote(self.password, safe="")):
                text = text.replace(secret, "***")
        return text

    @property
    def shown(self) -> str:
        """The URL for display, without options, which may name files or hold secrets."""
        parts = urlsplit(self.url)
        _, at, host = parts.netloc.rpartition("@")
        user = parts.username or ""
        return urlunsplit((parts.scheme, f"{quote(user)}{at}{host}", parts.path, "", ""))


class PostgresConnection:
    """An open connection, outside of a transaction unless `begin` was called."""

    def __init__(self, address: Address, statement_timeout: float | None) -> None:
        self._connection = dbapi.connect(address.for_libpq(), autocommit=True)
        self._running: dbapi.Cursor | None = None
        self._lock = threading.Lock()  # a cursor that is closed must not be cancelled
        try:
            for statement in _SESSION:
                self.run(statement)
            self.run(f"SET statement_timeout = {int((statement_timeout or 0) * 1000)}")
        except BaseException:
            self.close()
            raise

    def run(self, statement: str) -> None:
        """Run a statement that returns no rows."""
        with self._cursor() as cursor:
            cursor.execute(statement)

    def begin(self) -> None:
        """Begin a transaction that sees one state of the database. Each shard has its own transaction."""
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def fetch(self, statement: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Return all rows of a statement; ``$1`` is the first parameter."""
        with self._cursor() as cursor:
            cursor.execute(statement, _bound(parameters))
            return cursor.fetch_arrow_table()

    def fetch_in_parts(self, statement: str, parameters: Sequence[object], rows: int) -> Iterator[pa.Table]:
        """Yield the rows of a statement in parts (at least one), through a cursor within the transaction."""
        with self._cursor() as cursor:
            cursor.execute(f"DECLARE rows NO SCROLL CURSOR FOR {statement}", _bound(parameters))
        part = self._next(rows)
        yield part
        while part.num_rows == rows:
            part = self._next(rows)
            yield part
        self.run("CLOSE rows")

    def _next(self, rows: int) -> pa.Table:
        with self._cursor() as cursor:
            cursor.adbc_statement.set_options(**_NO_COPY)
            cursor.execute(f"FETCH {rows:d} FROM rows")
            return cursor.fetch_arrow_table()

    def copy(self, schema: str, table: str, rows: pa.Table) -> None:
        """Append rows to a table by COPY, into columns of the same names."""
        with self._cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema)

    def cancel(self) -> None:
        """Stop the running statement, if there is one."""
        with self._lock:
            if self._running is not None:
                self._running.adbc_cancel()

    def close(self) -> None:
        """Close the connection."""
        with suppress(Error, RuntimeError):
            self._connection.close()

    @contextmanager
    def _cursor(self) -> Iterator[dbapi.Cursor]:
        with self._connection.cursor() as cursor:
            self._running = cursor
            try:
                yield cursor
            finally:
                with self._lock:
                    self._running = None


def _bound(parameters: Sequence[object]) -> pa.RecordBatch | None:
    if not parameters:
        return None
    arrays = [_array(value) for value in parameters]
    return pa.RecordBatch.from_arrays(arrays, names=[f"p{index}" for index in range(len(arrays))])


def _array(value: object) -> pa.Array:
    match value:
        case float():
            return pa.array([value], pa.float64())
        case int():
            return pa.array([value], pa.int64())
        case [int(), *_]:
            return pa.array([value], pa.list_(pa.int64()))
        case [float(), *_]:
            return pa.array([value], pa.list_(pa.float64()))
        case list():
            return pa.array([value], pa.list_(pa.string()))
        case _:
            return pa.array([value], pa.string())
