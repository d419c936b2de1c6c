"""One transaction on a PostgreSQL database that feeders fill."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeVar

import pyarrow as pa

from ceems_grpc.schema import Type, is_metric
from ceems_grpc.store.columnar.assemble import put_together, type_of, type_of_measure
from ceems_grpc.store.columnar.histogram_rows import histogram_of
from ceems_grpc.store.columnar.layout import new_columns
from ceems_grpc.store.columnar.zone_text import zone_of_text
from ceems_grpc.store.plan import Aggregate, Distinct, Histogram, KeyScan, Scan, Spread, Table
from ceems_grpc.store.postgres import summed
from ceems_grpc.store.postgres.connection import PostgresConnection
from ceems_grpc.store.postgres.dialect import PostgresSql
from ceems_grpc.store.postgres.pool import Lease
from ceems_grpc.store.postgres.state import SiteStatus, State
from ceems_grpc.store.protocols import Facts, SourceFacts
from ceems_grpc.store.runtime.query_trace import record

_Result = TypeVar("_Result")
_ROWS_A_BATCH = 8_192


class PostgresReader:
    """One transaction; see `ceems_grpc.store.protocols.Reader`."""

    def __init__(self, lease: Lease, state: State) -> None:
        self._lease = lease
        self._state = state

    @property
    def zone(self) -> tzinfo:
        """The zone in which all sites write their local times, or `SEVERAL_ZONES`."""
        return self._state.zone

    def has(self, table: Table, column: str | None = None) -> bool:
        """Return whether any site has the table (and the column)."""
        found = self._state.catalog.tables.get(table)
        return found is not None and (column is None or column in found.columns)

    def new_columns(self, table: Table) -> Mapping[str, Type]:
        """Return the columns that the schema does not describe, and their types."""
        found = self._state.catalog.tables.get(table)
        return {} if found is None else new_columns(table, found.columns, found.objects, found.numbers)

    def facts(self, location: str) -> Facts:
        """Describe the database; if there are several sites, each is one of ``sources``."""
        sites = self._state.sites
        together = self._facts_of(location, sites)
        sources = tuple(
            SourceFacts(site.name, self._facts_of(location, (site,)), site.problem, site.problem) for site in sites
        )
        return replace(together, sources=sources) if len(sources) > 1 or sources[0].problem else together

    def _facts_of(self, location: str, sites: tuple[SiteStatus, ...]) -> Facts:
        newest = [site.newest for site in sites if site.newest is not None]
        return Facts(
            location=location,
            schema_version=min(site.schema_version for site in sites),
            zone=", ".join(sorted({str(zone_of_text(site.zone)) for site in sites})),
            zone_guessed=False,
            clusters=tuple(sorted({pair for site in sites for pair in site.resources})),
            units=sum(site.units for site in sites),
            newest_update=datetime.fromtimestamp(max(newest), UTC) if newest else None,
            missing_tables=tuple(table for table in Table if not self.has(table)),
        )

    async def reach_shards(self) -> None:
        """Return if all servers that hold partitions answer."""

        def work(connection: PostgresConnection) -> None:
            for place in map(self._state.catalog.place, self._state.catalog.shards):
                connection.fetch(f"SELECT 1 FROM {place} LIMIT 1")  # noqa: S608 - a quoted name

        await self._ask(work)

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan, JSON columns split by key if `AllKeys` asks for it."""

        def work(connection: PostgresConnection) -> pa.Table:
            sql = self._sql(scan.table)
            statement, names = sql.scan(scan)
            return put_together(scan, names, _fetch(connection, statement, sql))

        return await self._ask(work)

    async def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan in batches."""
        if not all(isinstance(column, str) for column in scan.columns):
            raise ValueError("batches() gives JSON columns as text; use table() for AllKeys")

        def start(connection: PostgresConnection) -> tuple[pa.Schema, Any, pa.Table]:
            sql = self._sql(scan.table)
            statement, names = sql.scan(scan)
            schema = pa.schema([(name, type_of(name)) for name in names])
            parts = connection.fetch_in_parts(statement, sql.parameters, _ROWS_A_BATCH)
            recorded = record("database", "postgresql", statement, sql.parameters)
            began = time.perf_counter()
            part = next(parts)
            recorded.ran(began, part.num_rows)
            return schema, (parts, recorded), part

        schema, (parts, recorded), part = await self._ask(start)
        while part is not None:
            table = pa.table(part.columns, names=schema.names).cast(schema)
            yield _batch_of(table)
            began = time.perf_counter()
            part = await self._ask(lambda _: next(parts, None))
            recorded.ran(began, 0 if part is None else part.num_rows)

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        fields = [(name, pa.string()) for name in plan.by] + ([("day", pa.int64())] if plan.day else [])
        fields += [(measure.name, type_of_measure(measure)) for measure in plan.measures]

        def work(connection: PostgresConnection) -> pa.Table:
            sql = self._sql(plan.table)
            pieces = summed.can_sum(sql.catalog, plan)
            statement = sql.aggregate(plan) if pieces is None else summed.aggregate(sql, plan, pieces)
            return _as(pa.schema(fields), _fetch(connection, statement, sql))

        return await self._ask(work)

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        fields = [(name, pa.string()) for name in plan.by] + [("step", pa.int64())]
        fields += [(measure.name, type_of_measure(measure)) for measure in plan.measures]

        def work(connection: PostgresConnection) -> pa.Table:
            sql = self._sql(Table.UNITS)
            return _as(pa.schema(fields), _fetch(connection, sql.spread(plan), sql))

        return await self._ask(work)

    async def histogram(self, plan: Histogram) -> pa.Table:
        """Return the number of units per group, step and bucket."""

        def work(connection: PostgresConnection) -> pa.Table:
            sql = self._sql(Table.UNITS)
            return histogram_of(plan, _fetch(connection, sql.histogram(plan), sql))

        return await self._ask(work)

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column; a column without any has an empty tuple."""
        found: dict[str, set[str]] = {column: set() for column in plan.columns}

        def work(connection: PostgresConnection) -> None:
            sql = self._sql(plan.table)
            pieces = summed.pieces_of(sql.catalog, plan.table, plan.where) if plan.recent is None else None
            statement, keys = sql.keys(plan) if pieces is None else summed.keys(sql, plan, pieces)
            if keys:
                (present,) = _fetch(connection, statement, sql).to_pylist()
                for (column, key), is_there in zip(keys, present.values(), strict=True):
                    if is_there:
                        found[column].add(key)
            for column in plan.columns:
                if not is_metric(column):
                    sql = self._sql(plan.table)
                    found[column].update(
                        _fetch(connection, sql.keys_of_object(plan, column), sql).column(0).to_pylist()
                    )

        await self._ask(work)
        return {column: tuple(sorted(keys)) for column, keys in found.items()}

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the distinct values of the columns, sorted."""
        schema = pa.schema([(name, type_of(name)) for name in plan.columns])

        def work(connection: PostgresConnection) -> pa.Table:
            sql = self._sql(plan.table)
            return _as(schema, _fetch(connection, sql.distinct(plan), sql))

        return await self._ask(work)

    def _sql(self, table: Table) -> PostgresSql:
        return PostgresSql(table, self._state.catalog)

    async def _ask(self, work: Callable[[PostgresConnection], _Result]) -> _Result:
        return await self._lease.ask(work, self._renew)

    def _renew(self, state: State) -> None:
        self._state = state


def _fetch(connection: PostgresConnection, statement: str, sql: PostgresSql) -> pa.Table:
    recorded = record("database", "postgresql", statement, sql.parameters)
    began = time.perf_counter()
    rows = connection.fetch(statement, sql.parameters)
    recorded.ran(began, rows.num_rows)
    return rows


def _as(schema: pa.Schema, rows: pa.Table) -> pa.Table:
    return pa.table(rows.columns, names=schema.names).cast(schema)


def _batch_of(table: pa.Table) -> pa.RecordBatch:
    arrays = [
        pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type) for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)
