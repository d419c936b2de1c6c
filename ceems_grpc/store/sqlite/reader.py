"""One read transaction on the live database file."""

import asyncio
import sqlite3
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeVar

import pyarrow as pa

from ceems_grpc.schema import COLUMNS, Type
from ceems_grpc.store.columnar.assemble import type_of, type_of_measure
from ceems_grpc.store.columnar.histogram_rows import COUNT, histogram_of
from ceems_grpc.store.columnar.local_time import moment_of
from ceems_grpc.store.columnar.values import unusable_counts
from ceems_grpc.store.errors import StoreError, no_table
from ceems_grpc.store.plan import Aggregate, Distinct, Histogram, KeyScan, Scan, Spread, Table
from ceems_grpc.store.protocols import Facts
from ceems_grpc.store.runtime.cancellation import check_cancelled, is_in_one_thread, run_cancellable, stop_tasks
from ceems_grpc.store.runtime.memory_budget import claim_rows
from ceems_grpc.store.runtime.query_trace import record
from ceems_grpc.store.sqlite.arrow import batch_of, flat_table
from ceems_grpc.store.sqlite.dialect import SqliteSql

_Result = TypeVar("_Result")
_ROWS_A_FETCH = 4096
_BYTES_A_FETCH = 4 * 1024 * 1024
_ROWS_AT_ONCE = 16  # rows that are fetched before their bytes are counted
MOST_BYTES = 192 * 1024 * 1024
"""The most bytes of texts that an answer holds at once, about those of 150,000 units with all columns."""
_ROWS_LOOKED_AT = 50_000  # of each table, to find values that its columns may not hold
# Steps from one cluster to the next along the index instead of reading all of it.
_CLUSTERS = """
WITH RECURSIVE c(id) AS (
  SELECT min(cluster_id) FROM units WHERE cluster_id >= '' AND cluster_id < x''
  UNION ALL SELECT (SELECT min(cluster_id) FROM units WHERE cluster_id > c.id AND cluster_id < x'')
  FROM c WHERE c.id IS NOT NULL
)
SELECT c.id, (SELECT resource_manager FROM units WHERE cluster_id = c.id AND typeof(resource_manager) = 'text' LIMIT 1)
FROM c WHERE c.id IS NOT NULL
"""


def version_of(value: object) -> int:
    """Return the schema's version from table schema_migrations, 0 if the value is not a version."""
    # Other programs have a table of this name too. Its content there must not be shown to everybody.
    return value if isinstance(value, int) else 0


class SqliteReader:
    """One read transaction; see `ceems_grpc.store.protocols.Reader`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        zone: tzinfo,
        columns: Mapping[str, frozenset[str]],
        new: Mapping[str, Mapping[str, Type]],
    ) -> None:
        self._connection = connection
        self._zone = zone
        self._columns = columns
        self._new = new

    @property
    def zone(self) -> tzinfo:
        """The zone in which the site writes its local times."""
        return self._zone

    def has(self, table: Table, column: str | None = None) -> bool:
        """Return whether the file has the table (and the column)."""
        return table in self._columns and (column is None or column in self._columns[table])

    def new_columns(self, table: Table) -> Mapping[str, Type]:
        """Return the columns that the schema does not describe, and their types."""
        return self._new.get(table, {})

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan, JSON columns split by key if `AllKeys` asks for it."""
        statement, parameters = self._write(scan.table, lambda sql: sql.scan(scan)[0])
        return await self._run(lambda: flat_table(scan, self._rows(statement, parameters)))

    async def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan in batches."""
        names = [column for column in scan.columns if isinstance(column, str)]
        if len(names) != len(scan.columns):
            raise ValueError("batches() gives JSON columns as text; use table() for AllKeys")
        schema = pa.schema([(name, type_of(name)) for name in names])
        chunks = self._chunks(*self._write(scan.table, lambda sql: sql.scan(scan)[0]))

        def next_batch() -> pa.RecordBatch | None:
            chunk = next(chunks, None)
            return None if chunk is None else batch_of(schema, chunk[0])

        empty = True
        try:
            while (batch := await self._run(next_batch)) is not None:
                empty = False
                yield batch
        finally:
            chunks.close()
        if empty:
            yield batch_of(schema, [])

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        fields = [(name, pa.string()) for name in plan.by] + ([("day", pa.int64())] if plan.day else [])
        fields += [(measure.name, type_of_measure(measure)) for measure in plan.measures]
        return await self._table_of(pa.schema(fields), self._write(plan.table, lambda sql: sql.aggregate(plan)))

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        fields = [(name, pa.string()) for name in plan.by] + [("step", pa.int64())]
        fields += [(measure.name, type_of_measure(measure)) for measure in plan.measures]
        return await self._table_of(pa.schema(fields), self._write(Table.UNITS, lambda sql: sql.spread(plan)))

    async def histogram(self, plan: Histogram) -> pa.Table:
        """Return the number of units per group, step and bucket."""
        written = self._write(Table.UNITS, lambda sql: sql.histogram(plan))
        return await self._run(lambda: self._histogram(plan, *written))

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column."""
        found: dict[str, set[str]] = {column: set() for column in plan.columns}
        if plan.columns:
            for index, key in await self._all(*self._write(plan.table, lambda sql: sql.keys(plan))):
                found[plan.columns[index]].add(key)
        return {column: tuple(sorted(keys)) for column, keys in found.items()}

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the distinct values of the columns, sorted."""
        schema = pa.schema([(name, type_of(name)) for name in plan.columns])
        return await self._table_of(schema, self._write(plan.table, lambda sql: sql.distinct(plan)))

    async def values(self, statement: str, parameters: Iterable[str]) -> AsyncGenerator[Any, None]:
        """Yield the single value that a statement with one parameter returns, for each of the parameters.

        The next value is computed while the previous one is used.
        """
        recorded = record("database", "sqlite", statement, [])

        def ask(parameter: str) -> Any:  # noqa: ANN401 - whatever the database holds
            began = time.perf_counter()
            ((value,),) = self._connection.execute(statement, [parameter]).fetchall()
            recorded.ran(began, 1)
            return value

        if is_in_one_thread():
            for parameter in parameters:
                yield await self._run(lambda parameter=parameter: ask(parameter))  # type: ignore[misc]
            return
        asked: deque[asyncio.Task[Any]] = deque()
        turn = asyncio.Lock()  # a connection runs one statement at a time

        async def ask_in_turn(parameter: str) -> Any:  # noqa: ANN401 - whatever the database holds
            async with turn:
                return await self._run(lambda: ask(parameter))

        async def first() -> Any:  # noqa: ANN401 - whatever the database holds
            value = await asyncio.shield(asked[0])
            asked.popleft()
            return value

        try:
            for parameter in parameters:
                asked.append(asyncio.create_task(ask_in_turn(parameter)))
                if len(asked) > 1:
                    yield await first()
            while asked:
                yield await first()
        finally:
            await stop_tasks(asked, self._connection.interrupt)

    async def rows(self, statement: str, parameter: str, schema: pa.Schema) -> pa.RecordBatch:
        """Return the rows of a statement with one parameter, as columns."""
        return await self._run(lambda: batch_of(schema, self._rows(statement, [parameter])))

    async def facts(self, location: str, *, guessed: bool) -> Facts:
        """Describe the file."""
        versioned = "schema_migrations" in self._columns
        version = await self._one("SELECT max(version) FROM schema_migrations") if versioned else 0
        units = await self._one("SELECT count(*) FROM units")
        # No index on last_updated_at: the rows that were added last, and the totals, which every update touches.
        newest = await self._one(
            "SELECT max(t) FROM (SELECT last_updated_at AS t FROM usage UNION ALL SELECT t"
            " FROM (SELECT last_updated_at AS t FROM units ORDER BY id DESC LIMIT 1000))"
            " WHERE typeof(t) = 'text' AND t GLOB '[1-9][0-9][0-9][0-9]-[0-9][0-9]-*'"
        )
        moment = moment_of(self._zone)(newest, 0)
        clusters = await self._all(_CLUSTERS, [])
        return Facts(
            location=location,
            schema_version=version_of(version),
            zone=str(self._zone),
            zone_guessed=guessed,
            clusters=tuple((cluster, manager or "") for cluster, manager in clusters),
            units=int(units),
            newest_update=None if moment is None else datetime.fromtimestamp(moment, UTC),
            missing_tables=tuple(table for table in Table if table not in self._columns),
            unusable=await self._unusable(),
        )

    async def _unusable(self) -> tuple[tuple[str, int], ...]:
        found: list[tuple[str, int]] = []
        for table in (table for table in Table if table in self._columns):
            sql = SqliteSql(table, self._zone)
            names = [name for name in COLUMNS[table] if name in self._columns[table]]
            counts = unusable_counts(names, sql.quote)
            place = sql.recent_rows(_ROWS_LOOKED_AT) if "id" in names else sql.place
            ((*numbers,),) = await self._all(f"SELECT {counts} FROM {place}", sql.parameters)  # noqa: S608 - quoted names
            found += [(f"{table}.{name}", int(count)) for name, count in zip(names, numbers, strict=True) if count]
        return tuple(found)

    # Statements

    def _write(self, table: Table, write: Callable[[SqliteSql], str]) -> tuple[str, list[object]]:
        if table not in self._columns:
            raise no_table(table)
        sql = SqliteSql(table, self._zone)
        return write(sql), sql.parameters

    async def _one(self, statement: str) -> Any:  # noqa: ANN401 - whatever the database holds
        rows = await self._all(statement, [])
        return rows[0][0] if rows else None

    async def _all(self, statement: str, parameters: list[object]) -> list[tuple[Any, ...]]:
        return await self._run(lambda: self._rows(statement, parameters))

    async def _table_of(self, schema: pa.Schema, written: tuple[str, list[object]]) -> pa.Table:
        return await self._run(lambda: pa.Table.from_batches([batch_of(schema, self._rows(*written))]))

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        """Run blocking work on the connection."""
        return await run_cancellable(work, self._connection.interrupt)

    # In threads

    def _histogram(self, plan: Histogram, statement: str, parameters: list[object]) -> pa.Table:
        """Count while rows are fetched: SQLite has no function that finds a bucket."""
        counts: Counter[tuple[Any, ...]] = Counter()
        bounds, starts = () if plan.value is None else plan.bounds, plan.starts
        with closing(self._chunks(statement, parameters)) as chunks:
            for rows, _ in chunks:
                counts.update(
                    (*by, bisect_right(starts, moment), bisect_right(bounds, value))
                    for *by, value, moment in rows
                    if value is not None and moment is not None
                )
        numbers = [(name, pa.int64()) for name in ("step", "bucket", COUNT.name)]
        schema = pa.schema([*((name, pa.string()) for name in plan.by), *numbers])
        rows_of_counts = [(*key, count) for key, count in counts.items()]
        return histogram_of(plan, pa.Table.from_batches([batch_of(schema, rows_of_counts)]))

    def _rows(self, statement: str, parameters: list[object]) -> list[tuple[Any, ...]]:
        """Return all rows. Raises `StoreError` if they take too much memory."""
        rows: list[tuple[Any, ...]] = []
        together = 0
        with closing(self._chunks(statement, parameters)) as chunks:
            for some, size in chunks:
                rows += some
                together += size
                if together > MOST_BYTES:
                    raise StoreError(
                        "The rows take too much memory; choose a shorter time range, fewer fields, or a limit.",
                        f"the texts of an answer take more than {MOST_BYTES} bytes",
                    )
                claim_rows(together, len(rows) * len(rows[0]))
        return rows

    def _chunks(self, statement: str, parameters: list[object]) -> "_Chunks":
        given = 0
        try:
            for rows, size in self._chunks_strictly(statement, parameters):
                given += len(rows)
                yield rows, size
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
        else:
            return
        # Names of users need not be UTF-8. From now on this connection replaces invalid bytes, which is slower.
        self._connection.text_factory = lambda text: text.decode("utf-8", "replace")
        for rows, size in self._chunks_strictly(statement, parameters):
            left, given = rows[given:], max(given - len(rows), 0)
            if left:
                yield left, size

    def _chunks_strictly(self, statement: str, parameters: list[object]) -> "_Chunks":
        recorded = record("database", "sqlite", statement, parameters)
        began = time.perf_counter()
        try:
            with closing(self._connection.execute(statement, parameters)) as cursor:
                while (chunk := _fetch_chunk(cursor))[0]:
                    recorded.ran(began, len(chunk[0]))
                    yield chunk
                    check_cancelled()
                    began = time.perf_counter()
        finally:
            recorded.ran(began)


_Chunk = tuple[list[tuple[Any, ...]], int]  # rows, and the bytes of their texts
_Chunks = Generator[_Chunk, None, None]


def _fetch_chunk(cursor: sqlite3.Cursor) -> _Chunk:
    """Return the next rows, limited in number and in bytes."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while len(rows) < _ROWS_A_FETCH and size < _BYTES_A_FETCH:
        some = cursor.fetchmany(_ROWS_AT_ONCE)
        if not some:
            break
        rows += some
        size += sum(map(_text_bytes, zip(*some, strict=True)))
    return rows, size


def _text_bytes(values: tuple[Any, ...]) -> int:
    try:
        return sum(map(len, values))
    except TypeError:  # numbers or nulls are among them
        return sum(len(value) for value in values if isinstance(value, str | bytes))
