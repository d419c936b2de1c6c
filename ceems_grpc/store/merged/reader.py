"""The readers of several sources as one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import partial
from typing import TypeVar

import pyarrow as pa
from msgspec.structs import replace

from ceems_grpc.schema import ADMINISTERED, Type, common_type
from ceems_grpc.store.columnar.group_merge import merge_groups, nulls_first, part_measures, part_of_groups
from ceems_grpc.store.columnar.histogram_rows import empty_histogram, merged_histogram
from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.merged.concurrent import run_all
from ceems_grpc.store.merged.facts import no_source_answers
from ceems_grpc.store.merged.rows import RowMerge, in_thread
from ceems_grpc.store.merged.session import KnownSession
from ceems_grpc.store.merged.source_batches import SourceBatches
from ceems_grpc.store.merged.source_columns import SourceColumns
from ceems_grpc.store.merged.source_handle import Known, SourceHandle
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.plan import Aggregate, Condition, Distinct, Histogram, KeyScan, Scan, Spread, Table
from ceems_grpc.store.plan.pruning import clusters_of
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable

_Result = TypeVar("_Result")
_Grouped = TypeVar("_Grouped", Aggregate, Spread)


class MergedReader:
    """The readers of the sources as one; see `ceems_grpc.store.protocols.Reader`.

    All answers of a source are from one moment: that of the first query to this source.
    """

    def __init__(self, looked: Iterable[tuple[SourceHandle, Known | Missing, float]], *, fail_on_missing: bool) -> None:
        self._fail = fail_on_missing
        self._sessions: list[KnownSession] = []
        self._lost: list[Missing] = []
        self._noted: dict[str, Missing] = {}
        self._all: list[KnownSession] = []
        for source, known, used in looked:
            if isinstance(known, Missing):
                self._lost.append(known)
            else:
                self._sessions.append(KnownSession(source, known, used))
        self._all = list(self._sessions)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What the answers so far lack."""
        return tuple(self._noted.values())

    @property
    def zone(self) -> tzinfo:
        """The zone in which all sites write their local times, or `SEVERAL_ZONES`."""
        zones = {
            str(session.known.zone): session.known.zone for session in self._sessions if not session.known.is_empty
        }
        if not zones:
            return self._sessions[0].known.zone if self._sessions else UTC
        return next(iter(zones.values())) if len(zones) == 1 else SEVERAL_ZONES

    def has(self, table: Table, column: str | None = None) -> bool:
        """Return whether a source has the column, or whether all sources that have rows have the table.

        If only some of them had the table, an answer from it would silently lack the others.
        """
        if table is Table.ADMIN_USERS and column == ADMINISTERED:
            return any(session.known.has(table, None) for session in self._sessions)
        needed = [session for session in self._sessions if not session.known.is_empty] or self._sessions
        if column is None and table is not Table.ADMIN_USERS:
            return all(session.known.has(table, None) for session in needed)
        return any(session.known.has(table, column) for session in self._sessions)

    def new_columns(self, table: Table) -> Mapping[str, Type]:
        """Return the columns that the schema does not describe, and their types."""
        found: dict[str, Type] = {}
        for session in self._sessions:
            for name, type_ in session.known.new_columns(table).items():
                found[name] = common_type(type_, found.get(name, type_))
        return found

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan."""
        merge = RowMerge(scan)

        async def ask(session: KnownSession, reader: Reader) -> pa.Table | None:
            columns = SourceColumns(session, reader, scan.table)
            if columns.is_foreign([column for column in scan.columns if isinstance(column, str)]):
                return None
            rows = await reader.table(merge.source_scan(columns.has, columns.where(scan.where)))
            return await in_thread(rows.num_rows, lambda: merge.aligned(columns.only_own_clusters(rows), columns.fill))

        parts = [part for part in await self._each(scan.table, scan.where, ask) if part is not None]
        if not parts:
            parts = [merge.aligned(pa.table({"id": pa.array([], pa.int64())}), {})]
        return await asyncio.to_thread(merge.merge, parts)

    async def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan in batches."""
        if not all(isinstance(column, str) for column in scan.columns):
            raise ValueError("batches() gives JSON columns as text; use table() for AllKeys")
        if scan.table is Table.ADMIN_USERS:  # few rows, and duplicates are dropped
            table = await self.table(scan)
            for batch in table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]:
                yield batch
            return
        merge = RowMerge(scan)
        sources = [SourceBatches(self._one, session, merge) for session in self._route(scan.table, scan.where)]
        try:
            async for batch in merge.stream([source.next for source in sources]):
                yield batch
        finally:
            for source in sources:
                await source.close()

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        keys = (*plan.by, "day") if plan.day else plan.by
        parts = await self._group_parts(
            plan.table, replace(plan, order=()), keys, lambda reader, part: reader.aggregate(part)
        )
        return await asyncio.to_thread(merge_groups, parts, keys, plan.measures, plan.order)

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        keys = (*plan.by, "step")
        parts = await self._group_parts(Table.UNITS, plan, keys, lambda reader, part: reader.spread(part))
        return await asyncio.to_thread(merge_groups, parts, keys, plan.measures, ())

    async def histogram(self, plan: Histogram) -> pa.Table:
        """Return the number of units per group, step and bucket."""

        async def ask(session: KnownSession, reader: Reader) -> pa.Table:
            columns = SourceColumns(session, reader, Table.UNITS)
            columns.check()
            if not all(map(columns.has, plan.columns)):
                return empty_histogram(plan)
            by = tuple(name for name in plan.by if columns.has(name))
            return await reader.histogram(replace(plan, by=by, where=columns.where(plan.where)))

        parts = await self._each(Table.UNITS, plan.where, ask)
        return await asyncio.to_thread(merged_histogram, plan, parts)

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column. ``recent`` applies to each source separately."""

        async def ask(session: KnownSession, reader: Reader) -> dict[str, tuple[str, ...]]:
            columns = SourceColumns(session, reader, plan.table)
            columns.check()
            present = tuple(name for name in plan.columns if columns.has(name))
            where = columns.where(plan.where)
            return await reader.keys(replace(plan, columns=present, where=where))

        parts = await self._each(plan.table, plan.where, ask)
        return await asyncio.to_thread(_merged_keys, parts, plan.columns)

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the distinct values of the columns, sorted. ``recent`` applies to each source separately."""
        merge = RowMerge(Scan(plan.table, plan.columns))

        async def ask(session: KnownSession, reader: Reader) -> pa.Table | None:
            columns = SourceColumns(session, reader, plan.table)
            if columns.is_foreign(plan.columns):
                return None
            present = tuple(name for name in plan.columns if columns.has(name)) or ("id",)
            where = columns.where(plan.where)
            limit = 1 if present == ("id",) and plan.limit is None and "id" not in plan.columns else plan.limit
            rows = await reader.distinct(replace(plan, columns=present, where=where, limit=limit))
            return await in_thread(rows.num_rows, lambda: merge.aligned(columns.only_own_clusters(rows), columns.fill))

        parts = [part for part in await self._each(plan.table, plan.where, ask) if part is not None]
        if not parts:
            parts = [merge.aligned(pa.table({"id": pa.array([], pa.int64())}), {})]
        return await asyncio.to_thread(_distinct, parts, plan)

    async def close(self) -> None:
        """Close the readers of the sources."""
        await run_all(session.close() for session in self._all)

    # Queries to the sources

    async def _group_parts(
        self, table: Table, plan: _Grouped, keys: Sequence[str], run: Callable[[Reader, _Grouped], Awaitable[pa.Table]]
    ) -> list[pa.Table]:
        """Return the groups of each source, with the columns ``keys`` and the parts of the plan's measures."""

        async def ask(session: KnownSession, reader: Reader) -> pa.Table:
            columns = SourceColumns(session, reader, table)
            columns.check()
            by = tuple(name for name in plan.by if columns.has(name))
            where = columns.where(plan.where)
            measures = part_measures(plan.measures, columns.has)
            answer = await run(reader, replace(plan, by=by, measures=measures, where=where))
            return await run_cancellable(lambda: part_of_groups(answer, keys, plan.measures, columns.has))

        return await self._each(table, plan.where, ask)

    async def _one(
        self, session: KnownSession, work: Callable[[KnownSession, Reader], Awaitable[_Result]]
    ) -> _Result | None:
        """Return the result of the work on a source. If the source fails, note it as missing and return None."""
        if session not in self._sessions:
            return None
        try:
            return await session.ask(partial(work, session))
        except StoreError as error:
            missing = session.source.missing(error)
            if session in self._sessions:
                self._sessions.remove(session)
                self._lost.append(missing)
            self._note(missing)
            return None

    async def _each(
        self, table: Table, where: Condition, work: Callable[[KnownSession, Reader], Awaitable[_Result]]
    ) -> list[_Result]:
        async def wrapped(session: KnownSession, reader: Reader) -> tuple[_Result]:
            return (await work(session, reader),)  # so that a result is never None

        found = await run_all(self._one(session, wrapped) for session in self._route(table, where))
        results: list[_Result] = [result[0] for result in found if result is not None]
        if not results:
            raise no_source_answers(self._noted.values())
        return results

    def _route(self, table: Table, where: Condition) -> list[KnownSession]:
        """Return the sources that can hold rows of the condition, and note the missing sources that could."""
        if table is Table.ADMIN_USERS:  # its rows have no cluster
            chosen, lost = list(self._sessions), self._lost
        else:
            wanted = clusters_of(where)
            filled = [session for session in self._sessions if not session.known.is_empty]
            chosen = [s for s in filled if wanted is None or not wanted.isdisjoint(s.known.clusters)]
            there = frozenset[str]().union(*(session.known.clusters for session in filled))
            lost = self._lost if wanted is None or wanted - there else []
        for missing in lost:
            self._note(missing)
        if not chosen and lost:
            raise no_source_answers(lost)
        if not chosen and not self._sessions:
            raise no_source_answers(self._lost)
        return chosen or self._sessions[:1]  # the first one returns an empty answer

    def _note(self, missing: Missing) -> None:
        if self._fail:
            kind = StoreBusyError if missing.busy else StoreError
            raise kind(missing.sentence, missing.detailed)
        self._noted.setdefault(missing.source, missing)


def _merged_keys(parts: Sequence[Mapping[str, Iterable[str]]], columns: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted({key for part in parts for key in part.get(name, ())})) for name in columns}


def _distinct(parts: Sequence[pa.Table], plan: Distinct) -> pa.Table:
    rows = pa.concat_tables(parts).select(list(plan.columns))
    rows = rows.group_by(list(plan.columns), use_threads=False).aggregate([]).select(list(plan.columns))
    rows = nulls_first(rows, plan.columns)
    return rows if plan.limit is None or plan.limit < 0 else rows.slice(0, plan.limit)
