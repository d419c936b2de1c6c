"""The live CEEMS database file, read in place and never written.

Connections are opened with ``mode=ro`` and ``query_only``; each reader is one short read transaction on one of a few
pooled connections. A cancelled question interrupts its statement. A file that was replaced is noticed and reopened.
"""

import asyncio
import errno
import logging
import os
import sqlite3
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from weakref import WeakSet

import aiosqlite
import pyarrow as pa

from ceems_grpc.schema import OLDEST_VERSION, newer_schema
from ceems_grpc.store.columnar.assemble import type_of, type_of_measure
from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.columnar.flatten import flatten
from ceems_grpc.store.columnar.local_time import guess_zone, moment_of
from ceems_grpc.store.errors import StoreBusyError, StoreMissingError, StoreSchemaError, no_table
from ceems_grpc.store.plan import (
    Aggregate,
    AllKeys,
    Distinct,
    KeyScan,
    Scan,
    Spread,
    Table,
)
from ceems_grpc.store.protocols import Facts
from ceems_grpc.store.runtime.cancellation import in_thread, while_wanted
from ceems_grpc.store.runtime.query_trace import enter as enter_statement
from ceems_grpc.store.runtime.query_trace import waiting
from ceems_grpc.store.sqlite.dialect import MOMENT_FUNCTION, SqliteSql
from ceems_grpc.store.sqlite.errors import check_wal, explain, explain_path
from ceems_grpc.store.sqlite.guard import GuardedConnection
from ceems_grpc.store.sqlite.shm_guard import FileIdentity, enter, identity_of, leave, opened
from ceems_grpc.store.sqlite.wal import may_read, read_version, wants_gap

_log = logging.getLogger(__name__)

_ROWS_A_FETCH = 4096
_LARGE_LOG = 8 * 1024 * 1024  # bytes; SQLite begins to fold the log in at 4 MiB
_GAP = 5.0  # seconds that a question waits for a writer while the log is large
_CLOSING = 5.0  # seconds for which to wait for readers to leave
# Steps from one cluster to the next along the index instead of reading all of it.
_CLUSTERS = """
WITH RECURSIVE c(id) AS (
  SELECT min(cluster_id) FROM units
  UNION ALL SELECT (SELECT min(cluster_id) FROM units WHERE cluster_id > c.id) FROM c WHERE c.id IS NOT NULL
)
SELECT c.id, (SELECT resource_manager FROM units WHERE cluster_id = c.id LIMIT 1) FROM c WHERE c.id IS NOT NULL
"""


class _State(NamedTuple):
    """What the file system says of the database."""

    file: FileIdentity
    size: int
    modified_ns: int


class SqliteStore:
    """A CEEMS database in a file.

    ``zone``: the zone in which the site writes local times; None guesses it from what rows hold.
    ``busy_timeout``: seconds to wait for a writer; ``connections``: how many are
    kept open for the next readers; how many read at once is for whoever asks to limit (see `store.queue`).
    """

    def __init__(
        self, path: Path, *, zone: tzinfo | None = None, connections: int = 4, busy_timeout: float = 5.0
    ) -> None:
        self._path = path
        self._zone = zone
        self._guessed: tzinfo | None = None
        self._busy_timeout = busy_timeout
        self._connections = connections
        self._idle: list[aiosqlite.Connection] = []
        self._files: dict[aiosqlite.Connection, FileIdentity] = {}
        self._state: _State | None = None
        self._schema: tuple[_State, int] | None = None  # of which file and version the columns are known
        self._columns: Mapping[str, frozenset[str]] = {}
        self._closed = False
        self._told_newer = False
        _stores.add(self)

    @asynccontextmanager
    async def read(self) -> AsyncIterator["SqliteReader"]:
        """Open a reader on the file as it is now."""
        await self._give_way()
        state, connection = await self._take()
        try:
            async with self._transaction(connection):
                columns = await self._columns_of(connection, state)
                yield SqliteReader(self, connection, await self._zone_of(connection), columns)
        except BaseException:
            await self._drop(connection)
            raise
        # Closed, or the file was written or replaced meanwhile, or enough connections wait already.
        if self._closed or state != self._state or len(self._idle) >= self._connections:
            await self._drop(connection)
        else:
            self._idle.append(connection)

    async def facts(self) -> Facts:
        """Describe the database."""
        async with self.read() as reader:
            return await reader.facts(str(self._path), guessed=self._zone is None)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    async def version(self) -> Version:
        """Return the state of the file and its write-ahead log, which every commit changes."""
        return await asyncio.to_thread(read_version, self._path)

    async def close(self) -> None:
        """Close idle connections, and wait a while for those in use, which close when their reader does."""
        self._closed = True
        await self._drop_idle()
        ends = time.monotonic() + _CLOSING
        while self._files:
            if time.monotonic() > ends:
                return
            await asyncio.sleep(0.005)

    async def _give_way(self) -> None:
        """Wait for a writer that is at work on a log that readers have kept from being folded in."""
        ends = time.monotonic() + _GAP
        with waiting():
            while await asyncio.to_thread(wants_gap, self._path, _LARGE_LOG):
                if time.monotonic() > ends:
                    return
                await asyncio.sleep(0.005)

    # Connections

    async def _take(self) -> tuple["_State", aiosqlite.Connection]:
        state = await asyncio.to_thread(self._identify)
        known, self._state = self._state, state
        if state != known:
            # First use, or the file was replaced or written. SQLite keeps pages in memory that others than SQLite may
            # have changed, as by copying a backup into the file. After checkpoints too, which are rare, they are read
            # anew.
            await self._drop_idle()
            if known is None or state.file != known.file:
                self._guessed = None
        return state, self._idle.pop() if self._idle else await self._connect(state.file)

    def _identify(self) -> "_State":
        try:
            status, file = self._path.stat(), identity_of(self._path)
        except OSError as error:
            raise explain_path(self._path, error) from error
        if not self._path.is_file():
            raise StoreMissingError(
                "The path of the database leads to something that is not a file.", f"{self._path} is not a file."
            )
        if not may_read(self._path):
            raise explain_path(self._path, PermissionError(errno.EACCES, "not readable"))
        if not status.st_size:
            raise StoreSchemaError(
                "The database file is empty: it has no table units.",
                f"{self._path} is empty: it has no table units. Check the path, or restore a backup.",
            )
        return _State(file, status.st_size, status.st_mtime_ns)

    async def _enter(self, file: FileIdentity) -> None:
        """Count a connection of this process, once there is none that uses files which are no more there."""
        ends = time.monotonic() + self._busy_timeout
        while not enter(file):
            if time.monotonic() > ends:
                raise StoreBusyError("The database was replaced while it was being read; ask again in a moment.")
            for store in list(_stores):
                if store._state is not None and store._state.file[:2] == file[:2]:
                    await store._drop_idle()
            await asyncio.sleep(0.01)

    async def _connect(self, file: FileIdentity) -> aiosqlite.Connection:
        await self._enter(file)
        uri = f"file:{quote(os.fspath(self._path.absolute()))}?mode=ro"
        connection = aiosqlite.connect(
            uri, uri=True, isolation_level=None, timeout=self._busy_timeout, factory=GuardedConnection
        )
        self._files[connection] = file
        connection._thread.daemon = True  # a stuck file system must not keep the process alive
        try:
            await asyncio.to_thread(check_wal, self._path)
            await connection
            await connection.execute("PRAGMA cache_size = -4096")
            await connection.execute_fetchall("PRAGMA schema_version")  # opens the WAL-index, to stay
            opened(await asyncio.to_thread(identity_of, self._path))
        except sqlite3.Error as error:
            await self._drop(connection)
            raise explain(self._path, error) from error
        except OSError as error:
            await self._drop(connection)
            raise explain_path(self._path, error) from error
        except BaseException:
            await self._drop(connection)
            raise
        return connection

    @asynccontextmanager
    async def _transaction(self, connection: aiosqlite.Connection) -> AsyncIterator[None]:
        try:
            await connection.execute("BEGIN")
            yield
        except asyncio.CancelledError:
            await connection.interrupt()
            raise
        except sqlite3.Error as error:
            raise explain(self._path, error) from error
        else:
            await connection.execute("ROLLBACK")

    async def _drop(self, *connections: aiosqlite.Connection) -> None:
        """Close connections, also when who asked for it leaves."""
        if connections:
            await asyncio.shield(asyncio.gather(*map(self._close, connections)))

    async def _close(self, connection: aiosqlite.Connection) -> None:
        with suppress(sqlite3.Error, ValueError):
            await connection.close()
        file = self._files.pop(connection, None)
        if file is not None:
            leave(file)

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        await self._drop(*idle)

    # What the file holds

    async def _columns_of(self, connection: aiosqlite.Connection, state: "_State") -> Mapping[str, frozenset[str]]:
        # The schema's version changes with every migration, also of a file that stays in its place.
        ((version,),) = await connection.execute_fetchall("PRAGMA schema_version")
        if self._schema != (state, version):
            self._columns = await self._read_columns(connection)
            self._schema = (state, version)
        return self._columns

    async def _read_columns(self, connection: aiosqlite.Connection) -> Mapping[str, frozenset[str]]:
        rows = await connection.execute_fetchall(
            "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table'"
        )
        columns: dict[str, set[str]] = {}
        for table, column in rows:
            columns.setdefault(table, set()).add(column)
        version = 0
        if "schema_migrations" in columns:
            ((newest,),) = await connection.execute_fetchall("SELECT max(version) FROM schema_migrations")
            version = _number_of(newest)
        for table in (Table.UNITS, Table.USAGE, Table.USERS, Table.PROJECTS):
            if table not in columns and version:
                raise StoreSchemaError(
                    f"The database is of schema version {version}, which has no table {table}; "
                    f"the oldest that can be read is {OLDEST_VERSION}: update CEEMS.",
                )
            if table not in columns:
                raise StoreSchemaError(
                    f"The file is not a CEEMS database: it has no table {table}.",
                    f"{self._path} is an SQLite database, but has no table {table}; "
                    "point the data source at the ceems.db of ceems_api_server.",
                )
        if (newer := newer_schema(version)) and not self._told_newer:
            self._told_newer = True
            _log.warning("the database is newer than this plugin: %s", newer, extra={"schemaVersion": version})
        return {table: frozenset(names) for table, names in columns.items()}

    async def _zone_of(self, connection: aiosqlite.Connection) -> tzinfo:
        zone = self._zone or self._guessed
        if zone is None:
            # A few hundred rows spread over all ids: cheap in a table of any size.
            rows = await connection.execute_fetchall(
                "WITH RECURSIVE ends AS (SELECT min(id) AS low, max(id) AS high FROM units),"
                " steps(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM steps WHERE n < 255)"
                " SELECT started_at_ts / 1000, substr(started_at, -5) FROM units"
                " WHERE id IN (SELECT low + (high - low) * n / 255 FROM ends, steps)"
                " AND started_at_ts > 0 AND started_at LIKE '____-__-__T__:__:__+____' OR id IN"
                " (SELECT low + (high - low) * n / 255 FROM ends, steps)"
                " AND started_at_ts > 0 AND started_at LIKE '____-__-__T__:__:__-____'"
            )
            samples = [(int(moment), str(offset)) for moment, offset in rows]
            zone = guess_zone(samples)
            self._guessed = zone if samples else None  # a database without units is asked again
        await connection.create_function(MOMENT_FUNCTION, 2, moment_of(zone), deterministic=True)
        return zone


_stores: "WeakSet[SqliteStore]" = WeakSet()  # of this process


class SqliteReader:
    """One read transaction; see `ceems_grpc.store.protocols.Reader`."""

    def __init__(
        self,
        store: SqliteStore,
        connection: aiosqlite.Connection,
        zone: tzinfo,
        columns: Mapping[str, frozenset[str]],
    ) -> None:
        self._store = store
        self._connection = connection
        self._zone = zone
        self._columns = columns

    @property
    def zone(self) -> tzinfo:
        """The zone in which the site writes its local times."""
        return self._zone

    def has(self, table: Table, column: str | None = None) -> bool:
        """Tell whether the file has the table (and the column)."""
        return table in self._columns and (column is None or column in self._columns[table])

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan, JSON columns taken apart where `AllKeys` asks for it."""
        rows: list[tuple[Any, ...]] = []
        async for chunk in self._fetch(*self._write(scan.table, lambda sql: sql.scan(scan)[0])):
            rows += chunk
        return await in_thread(lambda: _flat_table(scan, rows))

    async def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan bit by bit."""
        names = [column for column in scan.columns if isinstance(column, str)]
        if len(names) != len(scan.columns):
            raise ValueError("batches() gives JSON columns as text; use table() for AllKeys")
        schema = pa.schema([(name, type_of(name)) for name in names])
        empty = True
        async for rows in self._fetch(*self._write(scan.table, lambda sql: sql.scan(scan)[0])):
            empty = False
            yield await asyncio.to_thread(_batch, schema, rows)
        if empty:
            yield _batch(schema, [])

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        fields = [(name, pa.string()) for name in plan.by] + ([("day", pa.int64())] if plan.day else [])
        fields += [(measure.name, type_of_measure(measure)) for measure in plan.measures]
        rows = await self._all(*self._write(plan.table, lambda sql: sql.aggregate(plan)))
        return pa.Table.from_batches([_batch(pa.schema(fields), rows)])

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        fields = [(name, pa.string()) for name in plan.by] + [("step", pa.int64())]
        fields += [(measure.name, type_of_measure(measure)) for measure in plan.measures]
        rows = await self._all(*self._write(Table.UNITS, lambda sql: sql.spread(plan)))
        return pa.Table.from_batches([_batch(pa.schema(fields), rows)])

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column."""
        found: dict[str, set[str]] = {column: set() for column in plan.columns}
        if plan.columns:
            for index, key in await self._all(*self._write(plan.table, lambda sql: sql.keys(plan))):
                found[plan.columns[index]].add(key)
        return {column: tuple(sorted(keys)) for column, keys in found.items()}

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the different values of the columns, ordered by them."""
        schema = pa.schema([(name, type_of(name)) for name in plan.columns])
        rows = await self._all(*self._write(plan.table, lambda sql: sql.distinct(plan)))
        return pa.Table.from_batches([_batch(schema, rows)])

    async def values(self, statement: str, parameters: Iterable[str]) -> AsyncGenerator[Any, None]:
        """Yield the one value that a statement with one parameter answers, for each of the parameters.

        The next one is worked out while the one before is used.
        """
        entered = enter_statement("database", "sqlite", statement, [])
        asked: deque[asyncio.Task[Any]] = deque()
        free = 0.0  # since when the connection has had nothing else to do

        async def ask(parameter: str) -> Any:  # noqa: ANN401 - whatever the database holds
            nonlocal free
            began = time.perf_counter()
            ((value,),) = await self._connection.execute_fetchall(statement, [parameter])
            entered.ran(max(began, free), 1)
            free = time.perf_counter()
            return value

        async def first() -> Any:  # noqa: ANN401 - whatever the database holds
            value = await asyncio.shield(asked[0])
            asked.popleft()
            return value

        try:
            for parameter in parameters:
                asked.append(asyncio.create_task(ask(parameter)))
                if len(asked) > 1:
                    yield await first()
            while asked:
                yield await first()
        finally:
            await self._stop(asked)

    async def rows(self, statement: str, parameter: str, schema: pa.Schema) -> pa.RecordBatch:
        """Return what a statement with one parameter answers, as columns."""
        rows = await self._all(statement, [parameter])
        return await asyncio.to_thread(_batch, schema, rows)

    async def facts(self, location: str, *, guessed: bool) -> Facts:
        """Describe the file."""
        versioned = "schema_migrations" in self._columns
        version = await self._one("SELECT max(version) FROM schema_migrations") if versioned else 0
        units = await self._one("SELECT count(*) FROM units")
        # No index on last_updated_at: the rows that were added last, and the totals, which every update touches.
        newest = await self._one(
            "SELECT max(t) FROM (SELECT max(last_updated_at) AS t FROM usage UNION ALL SELECT max(last_updated_at)"
            " FROM (SELECT last_updated_at FROM units ORDER BY id DESC LIMIT 1000))"
        )
        moment = moment_of(self._zone)(newest, 0)
        clusters = await self._all(_CLUSTERS, [])
        return Facts(
            location=location,
            schema_version=_number_of(version),
            zone=str(self._zone),
            zone_guessed=guessed,
            clusters=tuple((str(cluster), str(manager)) for cluster, manager in clusters),
            units=int(units),
            newest_update=None if moment is None else datetime.fromtimestamp(moment, UTC),
            missing_tables=tuple(table for table in Table if table not in self._columns),
        )

    # Statements

    async def _stop(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """Interrupt what is being asked and nobody waits for any more."""
        while not all(task.done() for task in tasks):
            await self._connection.interrupt()
            await asyncio.wait(tasks, timeout=0.02)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _write(self, table: Table, write: Callable[[SqliteSql], str]) -> tuple[str, list[object]]:
        if table not in self._columns:
            raise no_table(table)
        sql = SqliteSql(table, self._zone)
        return write(sql), sql.parameters

    async def _one(self, statement: str) -> Any:  # noqa: ANN401 - whatever the database holds
        rows = await self._all(statement, [])
        return rows[0][0] if rows else None

    async def _all(self, statement: str, parameters: list[object]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        async for chunk in self._fetch(statement, parameters):
            rows += chunk
        return rows

    async def _fetch(self, statement: str, parameters: list[object]) -> AsyncIterator[list[tuple[Any, ...]]]:
        given = 0
        try:
            async for rows in self._fetch_strictly(statement, parameters):
                yield rows
                given += len(rows)
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
        else:
            return
        # Names that users give need not be UTF-8. From now on this connection replaces what is not, which is slower.
        self._connection.text_factory = lambda text: text.decode("utf-8", "replace")
        async for rows in self._fetch_strictly(statement, parameters):
            left, given = rows[given:], max(given - len(rows), 0)
            if left:
                yield left

    async def _fetch_strictly(self, statement: str, parameters: list[object]) -> AsyncIterator[list[tuple[Any, ...]]]:
        entered = enter_statement("database", "sqlite", statement, parameters)
        began = time.perf_counter()
        async with self._connection.execute(statement, parameters) as cursor:
            try:
                while rows := list(await cursor.fetchmany(_ROWS_A_FETCH)):
                    entered.ran(began, len(rows))
                    yield rows  # type: ignore[misc]  # tuples, since no row factory is set
                    began = time.perf_counter()
                entered.ran(began)
            except asyncio.CancelledError:
                entered.ran(began)
                await self._connection.interrupt()  # before the cursor closes, which waits for the statement
                raise


def _number_of(version: object) -> int:
    # Other programs have a table of this name, too: what it holds there is not for everybody's eyes.
    return version if isinstance(version, int) else 0


def _batch(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns: list[tuple[Any, ...]] = list(zip(*rows, strict=True)) if rows else [() for _ in schema]
    return pa.RecordBatch.from_arrays(
        [_column(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )


def _column(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        # SQLite columns hold what was written, whatever their declared type.
        return pa.array([_coerce(value, type_) for value in values], type_)


def _coerce(value: object, type_: pa.DataType) -> object:
    if value is None:
        return None
    if pa.types.is_string(type_):
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    try:
        number = float(value)  # type: ignore[arg-type]
        return number if pa.types.is_floating(type_) else int(number)
    except (TypeError, ValueError, OverflowError):
        return None


def _flat_table(scan: Scan, rows: list[tuple[Any, ...]]) -> pa.Table:
    arrays: dict[str, pa.Array] = {}
    for index, column in enumerate(scan.columns):
        values = [row[index] for row in while_wanted(rows)]
        if isinstance(column, AllKeys):
            for key, array in flatten(values, numeric=column.numeric).items():
                arrays[f"{column.column}.{key}"] = array
        else:
            arrays[column] = _column(values, type_of(column))
    return pa.table(arrays)
