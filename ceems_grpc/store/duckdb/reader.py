"""One snapshot of the mirror. Plans that it cannot answer exactly go to the database file, at the same moment."""

import logging
import sqlite3
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from datetime import tzinfo
from functools import partial
from typing import Any, TypeVar

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.schema import Type
from ceems_grpc.store.columnar.assemble import put_together, type_of
from ceems_grpc.store.columnar.histogram_rows import histogram_of
from ceems_grpc.store.columnar.json_rows import JsonScan, JsonText, RowTexts, is_own_form
from ceems_grpc.store.columnar.layout import GROUP, Layout
from ceems_grpc.store.duckdb.dialect import DuckSql, NotInMirror
from ceems_grpc.store.duckdb.files import Snapshot
from ceems_grpc.store.duckdb.follower import Follower
from ceems_grpc.store.duckdb.groups import can_group
from ceems_grpc.store.duckdb.groups import put_together as put_together_groups
from ceems_grpc.store.duckdb.objects import NOT_IN_MIRROR
from ceems_grpc.store.duckdb.row_shapes import json_rows
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.plan import Aggregate, Distinct, Histogram, KeyScan, Scan, Spread, Table
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import check_cancelled, run_cancellable
from ceems_grpc.store.runtime.memory_budget import claim_fetched
from ceems_grpc.store.runtime.query_trace import record
from ceems_grpc.store.sqlite.reader import SqliteReader
from ceems_grpc.store.sqlite.store import SqliteStore

# See MirrorReader._fetch_few.
warnings.filterwarnings("ignore", "Arrow output on a DB-API result makes an extra copy", UserWarning)

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_ROWS_A_BATCH = 8_192
_ROWS_A_FETCH = 65_536
FEW_ROWS = 10_000
"""The largest limit at which the engine finds the first rows without sorting all rows."""


class MirrorReader:
    """One snapshot of the mirror; see `ceems_grpc.store.protocols.Reader`."""

    def __init__(
        self, live: SqliteStore, follower: Follower, snapshot: Snapshot, file: SqliteReader | None = None
    ) -> None:
        """Read a snapshot. ``file``: a reader of the file at the same moment, if one is open. The caller closes it."""
        self._live_store = live
        self._follower = follower
        self._snapshot = snapshot
        self._layout: Layout = snapshot.meta.layout
        self._live = AsyncExitStack()
        self._live_reader = file

    @property
    def zone(self) -> tzinfo:
        """The zone in which the site writes its local times."""
        return self._snapshot.zone

    @property
    def found(self) -> dict[str, Any]:
        """What readers of this moment have found; see `ceems_grpc.store.protocols.SharesMoment`."""
        return self._snapshot.found

    def has(self, table: Table, column: str | None = None) -> bool:
        """Return whether the database has the table (and the column)."""
        found = self._layout.tables.get(table)
        return found is not None and (column is None or column in found.columns)

    def new_columns(self, table: Table) -> Mapping[str, Type]:
        """Return the columns that the schema does not describe, and their types."""
        found = self._layout.tables.get(table)
        return {} if found is None else found.new_columns(table)

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan, JSON columns split by key if `AllKeys` asks for it."""

        def work(sql: DuckSql) -> pa.Table:
            statement, names = sql.scan(scan)
            rows = None
            if scan.limit is None or scan.limit > FEW_ROWS:
                rows = self._fetch_and_sort(scan)
            return put_together(
                scan, names, self._fetch(statement, sql) if rows is None else rows.select(range(len(names)))
            )

        return await self._answer(scan.table, work, lambda live: live.table(scan))

    async def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan in batches."""
        if not all(isinstance(column, str) for column in scan.columns):
            raise ValueError("batches() gives JSON columns as text; use table() for AllKeys")
        try:
            sql = DuckSql(scan.table, self._layout)
            statement, names = sql.scan(scan)
        except NotInMirror:
            async for batch in (await self._ask_live()).batches(scan):
                yield batch
            return
        schema = pa.schema([(name, type_of(name)) for name in names])
        empty = True
        try:
            recorded, began = record("mirror", "duckdb", statement, sql.parameters), time.perf_counter()
            # The type stubs of duckdb lack to_arrow_reader.
            relation: Any = await self._run(lambda: self._relation(statement, sql))
            reader = await self._run(lambda: relation.to_arrow_reader(_ROWS_A_BATCH))
            while (batch := await self._run(lambda: next(reader, None))) is not None:
                recorded.ran(began, batch.num_rows)
                empty = False
                columns = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
                began = time.perf_counter()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            self._failed(error)
            if empty:  # no rows have been returned yet, so the file can still answer all of it
                async for batch in (await self._ask_live()).batches(scan):
                    yield batch
                return
            raise StoreError("The database could not answer; ask again.", f"mirror: {error}") from error
        if empty:
            yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)

    async def json_rows(self, plan: JsonScan) -> AsyncGenerator[JsonText | pa.RecordBatch, None]:
        """Yield rows as JSON; see `json_rows.WritesJson`. The mirror finds the rows, the file holds their texts."""

        def find(sql: DuckSql) -> RowTexts:
            statement, marks = json_rows(sql, plan)
            return RowTexts(plan, marks, self._fetch(statement, sql), fit=not sql.layout.unfit.intersection(plan.names))

        try:
            texts = await self._run(lambda: find(DuckSql(plan.scan.table, self._layout)))
            live = await self._ask_live()
        except (NotInMirror, StoreBusyError, duckdb.Error):  # the slower way either works or reports the error
            async for batch in self.batches(plan.scan):
                yield batch
            return
        schema = pa.schema([(name, type_of(name)) for name in plan.names])
        chunks = list(texts.chunks(plan.scan.limit))
        if not chunks:
            yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
            return
        try:
            joined = (chunk.parameter for chunk in chunks if not chunk.is_odd)
            async with aclosing(live.values(texts.statement, joined)) as found:
                for chunk in chunks:
                    rows = None if chunk.is_odd else await anext(found)
                    if rows and (texts.fit or await run_cancellable(partial(is_own_form, plan, rows))):
                        yield JsonText(len(chunk.ids), rows)
                    else:
                        ids = msgspec.json.encode(chunk.ids).decode()
                        yield await live.rows(texts.columns_statement, ids, schema)
        except sqlite3.Error as error:
            raise StoreError("The database could not answer; ask again.", f"rows as JSON: {error}") from error

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""

        def work(sql: DuckSql) -> pa.Table:
            if plan.table is not Table.UNITS or not can_group(sql.layout, plan):
                return self._fetch_few(sql.aggregate(plan), sql)
            sums = self._snapshot.counted(plan)
            if sums is None:
                sums = self._fetch_few(sql.by_group(plan), sql)
            return put_together_groups(plan, sums, self._snapshot.groups(sums.column(GROUP)))

        return await self._answer(plan.table, work, lambda live: live.aggregate(plan))

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        return await self._answer(
            Table.UNITS, lambda sql: self._fetch_few(sql.spread(plan), sql), lambda live: live.spread(plan)
        )

    async def histogram(self, plan: Histogram) -> pa.Table:
        """Return the number of units per group, step and bucket."""

        def work(sql: DuckSql) -> pa.Table:
            # Not by the numbers of groups: each has buckets of its own, and far more rows would have to be merged.
            return histogram_of(plan, self._fetch_few(sql.histogram(plan), sql))

        return await self._answer(Table.UNITS, work, lambda live: live.histogram(plan))

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column."""

        def work(sql: DuckSql) -> dict[str, tuple[str, ...]]:
            statement, keys = sql.keys(plan)
            recorded, began = record("mirror", "duckdb", statement, sql.parameters), time.perf_counter()
            (present,) = self._snapshot.connection.execute(statement, sql.parameters).fetchall()
            recorded.ran(began, 1)
            there: set[tuple[str, str]] = set()
            for (name, key), is_there in zip(keys, present, strict=False):
                if key is None:
                    there |= {(name, each) for listed in is_there or () for each in listed or ()}
                elif is_there:
                    there.add((name, key))
            return {name: tuple(sorted(key for column, key in there if column == name)) for name in plan.columns}

        return await self._answer(plan.table, work, lambda live: live.keys(plan))

    def known_keys(self, table: Table, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
        """Return the keys that any row has in each of the metrics; see `ceems_grpc.store.protocols.KnowsKeys`."""
        found = self._layout.tables.get(table)
        return None if found is None else found.known_keys(columns)

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the distinct values of the columns, sorted."""
        return await self._answer(
            plan.table, lambda sql: self._fetch_few(sql.distinct(plan), sql), lambda live: live.distinct(plan)
        )

    async def close(self) -> None:
        """Close the reader of the live file if this reader has opened it."""
        await self._live.aclose()

    # Asking

    async def _ask_live(self) -> SqliteReader:
        """Open the live file. It must still be in the state that the mirror shows, because a reader has one moment."""
        if self._live_reader is None:
            reader = await self._live.enter_async_context(self._live_store.read())
            if await self._live_store.version() != self._snapshot.meta.version:
                raise StoreBusyError("The database changed while the question was being answered; ask again.")
            self._live_reader = reader
        return self._live_reader

    async def _answer(
        self, table: Table, work: Callable[[DuckSql], _Result], ask: Callable[[Reader], Awaitable[_Result]]
    ) -> _Result:
        try:
            return await self._run(lambda: work(DuckSql(table, self._layout)))
        except NotInMirror:
            pass
        except duckdb.Error as error:
            self._failed(error)
        return await ask(await self._ask_live())

    def _failed(self, error: Exception) -> None:
        if NOT_IN_MIRROR in str(error):
            return
        _log.warning("the mirror could not answer", extra={"detail": str(error)})
        if not isinstance(error, duckdb.OutOfMemoryException):
            self._follower.discard(self._snapshot.mirror)

    def _relation(self, statement: str, sql: DuckSql) -> duckdb.DuckDBPyRelation:
        return self._snapshot.connection.sql(statement, params=sql.parameters)

    def _fetch(self, statement: str, sql: DuckSql) -> pa.Table:
        recorded, began = record("mirror", "duckdb", statement, sql.parameters), time.perf_counter()
        rows = self._relation(statement, sql).to_arrow_table()
        recorded.ran(began, rows.num_rows)
        return rows

    def _fetch_many(self, statement: str, sql: DuckSql) -> pa.Table:
        """Fetch rows in batches, and claim their memory as it grows."""
        recorded, began = record("mirror", "duckdb", statement, sql.parameters), time.perf_counter()
        relation: Any = self._relation(statement, sql)
        reader = relation.to_arrow_reader(_ROWS_A_FETCH)
        batches: list[pa.RecordBatch] = []
        size = 0
        for batch in reader:
            batches.append(batch)
            size += batch.nbytes
            claim_fetched(size)
            check_cancelled()
        rows = pa.Table.from_batches(batches, schema=reader.schema)
        recorded.ran(began, rows.num_rows)
        return rows

    def _fetch_few(self, statement: str, sql: DuckSql) -> pa.Table:
        """Fetch few rows that take much work to find. A relation would plan the statement twice."""
        recorded, began = record("mirror", "duckdb", statement, sql.parameters), time.perf_counter()
        rows: pa.Table = self._snapshot.connection.execute(statement, sql.parameters).to_arrow_table()
        recorded.ran(began, rows.num_rows)
        return rows

    def _fetch_and_sort(self, scan: Scan) -> pa.Table | None:
        """Fetch rows in any order and sort them with Arrow, which is faster and not under the engine's memory limit.

        None if there are more rows than the scan's limit, because then the engine must choose the first ones.
        """
        sql = DuckSql(scan.table, self._layout)
        statement, order = sql.unsorted(scan)
        rows = self._fetch_many(statement, sql)
        if scan.limit is not None and rows.num_rows >= scan.limit:
            return None
        by = pa.table({name: rows.column(name).combine_chunks() for name, _ in order})
        places = pc.sort_indices(by, order)  # nulls come last
        sorted_rows: dict[str, pa.Array] = {}
        for name in rows.column_names:
            check_cancelled()
            sorted_rows[name] = rows.column(name).combine_chunks().take(places)
        return pa.table(sorted_rows)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        """Run blocking work on the snapshot's connection."""
        return await run_cancellable(work, self._snapshot.connection.interrupt)
