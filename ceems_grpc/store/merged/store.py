"""Several sources as one store. The sources are queried concurrently, and their answers are merged.

Only sources that can hold rows of the answer are queried. If a source fails or exceeds its timeout, the answer is made
without it and says what is missing (`ceems_grpc.store.missing`). With ``fail_on_missing``, the question fails instead.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, tzinfo
from functools import partial
from itertools import combinations
from typing import Any, TypeVar

import pyarrow as pa
from msgspec.structs import replace

from ceems_grpc.schema import ADMINISTERED
from ceems_grpc.store.columnar.flatten import decode_list
from ceems_grpc.store.columnar.group_merge import merge_groups, nulls_first, part_measures, part_of_groups
from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES
from ceems_grpc.store.errors import StoreBusyError, StoreError, StoreSchemaError
from ceems_grpc.store.merged.rows import RowMerge
from ceems_grpc.store.merged.source_handle import Known, Session, SourceHandle, first_of_all
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.plan import Aggregate, Condition, Distinct, KeyScan, Scan, Spread, Table
from ceems_grpc.store.plan.pruning import clusters_of, holding_only, within, without_missing
from ceems_grpc.store.protocols import Facts, HasMirrors, MirrorStatus, Reader, SourceFacts, Store

_Result = TypeVar("_Result")


class MergedStore:
    """Named sources as one store. Each source has a function that opens its store when it is first needed.

    ``timeout``: seconds that each source has for a question; None means no limit. ``fail_on_missing``: a question fails
    if a source that it needs is missing.
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, Callable[[], Store]]],
        timeout: float | None = 10.0,
        *,
        fail_on_missing: bool = False,
    ) -> None:
        self._sources = [SourceHandle(name, open_store, timeout) for name, open_store in sources]
        self._fail = fail_on_missing

    @asynccontextmanager
    async def read(self) -> AsyncIterator["MergedReader"]:
        """Open a reader over all sources that answer. Raises `StoreError` if none does."""
        reader = MergedReader(await self._look(), fail_on_missing=self._fail)
        try:
            yield reader
        finally:
            await reader.close()

    async def facts(self) -> Facts:
        """Describe each source in ``sources``, and all of them together. Raises `StoreError` if none answers."""
        found = await first_of_all(_facts_of(source) for source in self._sources)
        told = [facts for facts in found if facts.facts is not None]
        if not told:
            raise _nothing_left(found)
        _check_clusters((source.name, {cluster for cluster, _ in source.facts.clusters}) for source in told)
        return _merged_facts(found)

    async def version(self) -> Hashable:
        """Return the versions of all sources; for a source that does not answer, the number of its failures."""
        versions: list[Hashable] = []
        for source, known, _ in await self._look():
            version = ("missing", source.falls) if isinstance(known, Missing) else known.version
            versions.append((source.name, version))
        return tuple(versions)

    def mirrors(self) -> Mapping[str, MirrorStatus]:
        """Return the state of the mirrors by the name of their source, without sources that were never needed."""
        found: dict[str, MirrorStatus] = {}
        for source in self._sources:
            if isinstance(source.opened, HasMirrors):
                found.update((source.name, status) for status in source.opened.mirrors().values())
        return found

    async def close(self) -> None:
        """Close all sources."""
        await first_of_all(source.close() for source in self._sources)

    async def _look(self) -> list[tuple[SourceHandle, "Known | Missing", float]]:
        looked: list[tuple[SourceHandle, Known | Missing, float]] = await first_of_all(map(_look_at, self._sources))
        known = [(source.name, known.clusters) for source, known, _ in looked if isinstance(known, Known)]
        if not known:
            raise _nothing_left([missing for _, missing, _ in looked if isinstance(missing, Missing)])
        _check_clusters(known)
        return looked


class MergedReader:
    """The readers of the sources as one; see `ceems_grpc.store.protocols.Reader`.

    All answers of a source are from one moment: that of the first query to this source.
    """

    def __init__(
        self, looked: Iterable[tuple[SourceHandle, "Known | Missing", float]], *, fail_on_missing: bool
    ) -> None:
        self._fail = fail_on_missing
        self._sessions: list[_KnownSession] = []
        self._lost: list[Missing] = []
        self._noted: dict[str, Missing] = {}
        self._all: list[_KnownSession] = []
        for source, known, used in looked:
            if isinstance(known, Missing):
                self._lost.append(known)
            else:
                self._sessions.append(_KnownSession(source, known, used))
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
        """Tell whether a source has the column, or whether all sources that have rows have the table.

        If only some of them had the table, an answer from it would silently lack the others.
        """
        if table is Table.ADMIN_USERS and column == ADMINISTERED:
            return any(session.known.has(table, None) for session in self._sessions)
        needed = [session for session in self._sessions if not session.known.is_empty] or self._sessions
        if column is None and table is not Table.ADMIN_USERS:
            return all(session.known.has(table, None) for session in needed)
        return any(session.known.has(table, column) for session in self._sessions)

    def new_columns(self, table: Table) -> Mapping[str, bool]:
        """Return the columns that the schema does not describe, and whether they hold JSON objects in any source."""
        found: dict[str, bool] = {}
        for session in self._sessions:
            for name, is_object in session.known.new_columns(table).items():
                found[name] = is_object or found.get(name, False)
        return found

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan."""
        merge = RowMerge(scan)

        async def ask(session: "_KnownSession", reader: Reader) -> pa.Table | None:
            columns = _Columns(session, reader, scan.table)
            if columns.is_foreign([column for column in scan.columns if isinstance(column, str)]):
                return None
            rows = await reader.table(merge.source_scan(columns.has, columns.where(scan.where)))
            return merge.aligned(columns.own(rows), columns.fill)

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
        sources = [_Rows(self, session, merge) for session in self._route(scan.table, scan.where)]
        try:
            async for batch in merge.stream([source.next for source in sources]):
                yield batch
        finally:
            for source in sources:
                await source.close()

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        keys = (*plan.by, "day") if plan.day else plan.by

        async def ask(session: "_KnownSession", reader: Reader) -> pa.Table:
            columns = _Columns(session, reader, plan.table)
            columns.check()
            by = tuple(name for name in plan.by if columns.has(name))
            where = columns.where(plan.where)
            measures = part_measures(plan.measures, columns.has)
            answer = await reader.aggregate(replace(plan, by=by, measures=measures, where=where, order=()))
            return part_of_groups(answer, keys, plan.measures, columns.has)

        parts = await self._each(plan.table, plan.where, ask)
        return await asyncio.to_thread(merge_groups, parts, keys, plan.measures, plan.order)

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        keys = (*plan.by, "step")

        async def ask(session: "_KnownSession", reader: Reader) -> pa.Table:
            columns = _Columns(session, reader, Table.UNITS)
            columns.check()
            by = tuple(name for name in plan.by if columns.has(name))
            where = columns.where(plan.where)
            measures = part_measures(plan.measures, columns.has)
            answer = await reader.spread(replace(plan, by=by, measures=measures, where=where))
            return part_of_groups(answer, keys, plan.measures, columns.has)

        parts = await self._each(Table.UNITS, plan.where, ask)
        return await asyncio.to_thread(merge_groups, parts, keys, plan.measures, ())

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column. ``recent`` applies to each source separately."""

        async def ask(session: "_KnownSession", reader: Reader) -> dict[str, tuple[str, ...]]:
            columns = _Columns(session, reader, plan.table)
            columns.check()
            present = tuple(name for name in plan.columns if columns.has(name))
            where = columns.where(plan.where)
            return await reader.keys(replace(plan, columns=present, where=where))

        parts = await self._each(plan.table, plan.where, ask)
        return {name: tuple(sorted({key for part in parts for key in part.get(name, ())})) for name in plan.columns}

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the distinct values of the columns, sorted. ``recent`` applies to each source separately."""
        merge = RowMerge(Scan(plan.table, plan.columns))

        async def ask(session: "_KnownSession", reader: Reader) -> pa.Table | None:
            columns = _Columns(session, reader, plan.table)
            if columns.is_foreign(plan.columns):
                return None
            present = tuple(name for name in plan.columns if columns.has(name)) or ("id",)
            where = columns.where(plan.where)
            limit = 1 if present == ("id",) and plan.limit is None and "id" not in plan.columns else plan.limit
            rows = await reader.distinct(replace(plan, columns=present, where=where, limit=limit))
            return merge.aligned(columns.own(rows), columns.fill)

        parts = [part for part in await self._each(plan.table, plan.where, ask) if part is not None]
        if not parts:
            parts = [merge.aligned(pa.table({"id": pa.array([], pa.int64())}), {})]
        return await asyncio.to_thread(_distinct, parts, plan)

    async def close(self) -> None:
        """Close the readers of the sources."""
        await first_of_all(session.close() for session in self._all)

    # Queries to the sources

    async def one(
        self, session: "_KnownSession", work: Callable[["_KnownSession", Reader], Awaitable[_Result]]
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
        self, table: Table, where: Condition, work: Callable[["_KnownSession", Reader], Awaitable[_Result]]
    ) -> list[_Result]:
        async def wrapped(session: "_KnownSession", reader: Reader) -> tuple[_Result]:
            return (await work(session, reader),)  # so that a result is never None

        found = await first_of_all(self.one(session, wrapped) for session in self._route(table, where))
        given: list[_Result] = [result[0] for result in found if result is not None]
        if not given:
            raise _nothing_left(self._noted.values())
        return given

    def _route(self, table: Table, where: Condition) -> list["_KnownSession"]:
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
            raise _nothing_left(lost)
        if not chosen and not self._sessions:
            raise _nothing_left(self._lost)
        return chosen or self._sessions[:1]  # the first one returns an empty answer

    def _note(self, missing: Missing) -> None:
        if self._fail:
            kind = StoreBusyError if missing.busy else StoreError
            raise kind(missing.sentence, missing.detailed)
        self._noted.setdefault(missing.source, missing)


class _KnownSession(Session):
    """The reader of a source, with what the source is known to hold."""

    def __init__(self, source: SourceHandle, known: Known, used: float) -> None:
        super().__init__(source, used)
        self.known = known


class _Columns:
    """The columns of a table in a source.

    ``fill``: values that columns which the source lacks would hold in every row.
    """

    def __init__(self, session: "_KnownSession", reader: Reader, table: Table) -> None:
        self._reader = reader
        self._table = table
        self._clusters: frozenset[str] | None = None
        self._lists: Mapping[str, frozenset[str]] = {}
        self._held = session.known.clusters
        self.fill: Mapping[str, str] = {}
        if reader.has(Table.ADMIN_USERS, ADMINISTERED):
            return  # the source itself merges several sites, and already lists who administers what
        if table is Table.ADMIN_USERS:
            # Administrators of a source administer its clusters, and no others.
            self._lists = {ADMINISTERED: self._held}
            self.fill = {ADMINISTERED: json.dumps(sorted(self._held))}
        elif not session.known.nowhere:
            self._clusters = self._held

    def has(self, column: str) -> bool:
        return self._reader.has(self._table, column)

    def where(self, condition: Condition) -> Condition:
        """Return the condition, simplified for this source."""
        left = without_missing(condition, self.has, self._lists)
        if self._table is Table.ADMIN_USERS:
            left = holding_only(left, ADMINISTERED, self._held)
        return left if self._clusters is None else within(left, self._clusters)

    def own(self, rows: pa.Table) -> pa.Table:
        """Return the rows without rights on clusters that the source does not hold.

        Otherwise the writer of one source's database could grant rights on the clusters of another.
        """
        if self._table is not Table.ADMIN_USERS or ADMINISTERED not in rows.column_names:
            return rows
        lists = [
            json.dumps([cluster for cluster in map(str, decode_list(text)) if cluster in self._held])
            for text in rows.column(ADMINISTERED).to_pylist()
        ]
        place = rows.column_names.index(ADMINISTERED)
        return rows.set_column(place, ADMINISTERED, pa.array(lists, pa.string()))

    def check(self) -> None:
        if not self._reader.has(self._table):
            raise StoreSchemaError(f"It has no table {self._table}: it was made by an older version of CEEMS.")

    def is_foreign(self, columns: Iterable[str]) -> bool:
        """Tell whether the source stores its administrators in another form. Raises if another table is missing."""
        if self._table is not Table.ADMIN_USERS:
            self.check()
            return False
        return not all(self.has(column) or column in self.fill for column in columns)


class _Rows:
    """The rows of one source, in batches."""

    def __init__(self, reader: MergedReader, session: "_KnownSession", merge: RowMerge) -> None:
        self._reader = reader
        self._session = session
        self._merge = merge
        self._batches: AsyncIterator[pa.RecordBatch] | None = None
        self._columns: _Columns | None = None

    async def next(self) -> pa.Table | None:
        return await self._reader.one(self._session, self._next)

    async def _next(self, session: "_KnownSession", reader: Reader) -> pa.Table | None:
        if self._batches is None:
            columns = _Columns(session, reader, self._merge.scan.table)
            if columns.is_foreign([name for name in self._merge.scan.columns if isinstance(name, str)]):
                return None
            self._columns = columns
            self._batches = reader.batches(self._merge.source_scan(columns.has, columns.where(self._merge.scan.where)))
        batch = await anext(self._batches, None)
        if batch is None or self._columns is None:
            return None
        return self._merge.aligned(self._columns.own(pa.Table.from_batches([batch])), self._columns.fill)

    async def close(self) -> None:
        batches: Any = self._batches
        if batches is not None and hasattr(batches, "aclose"):
            with suppress(StoreError):
                await self._session.ask(lambda _: batches.aclose())


async def _look_at(source: SourceHandle) -> tuple[SourceHandle, Known | Missing, float]:
    started = time.monotonic()
    try:
        known: Known | Missing = await source.look()
    except StoreError as error:
        known = source.missing(error)
    return source, known, time.monotonic() - started


async def _facts_of(source: SourceHandle) -> SourceFacts:
    try:
        return SourceFacts(source.name, await source.facts())
    except StoreError as error:
        return SourceFacts(source.name, None, str(error), error.detail)


def _distinct(parts: Sequence[pa.Table], plan: Distinct) -> pa.Table:
    rows = pa.concat_tables(parts).select(list(plan.columns))
    rows = rows.group_by(list(plan.columns), use_threads=False).aggregate([]).select(list(plan.columns))
    rows = nulls_first(rows, plan.columns)
    return rows if plan.limit is None or plan.limit < 0 else rows.slice(0, plan.limit)


def _check_clusters(known: Iterable[tuple[str, Iterable[str]]]) -> None:
    for (one, clusters), (other, others) in combinations([(name, frozenset(ids)) for name, ids in known], 2):
        if both := sorted(clusters & others):
            raise StoreError(
                f"Sources '{one}' and '{other}' both hold cluster {both[0]}, so their rows cannot be told apart. "
                "Give the clusters different ids, or remove one of the sources from the data source."
            )


def _nothing_left(missing: Iterable[Missing | SourceFacts]) -> StoreError:
    """Make the error for a question that no source can answer."""
    said: list[tuple[str, str]] = []
    busy = True
    for source in missing:
        if isinstance(source, Missing):
            said.append((source.sentence, source.detailed))
            busy = busy and source.busy
        else:
            said.append((f"Source '{source.name}': {source.problem}", f"Source '{source.name}': {source.detail}"))
            busy = False
    kind = StoreBusyError if busy else StoreError
    return kind(" ".join(message for message, _ in said), " ".join(detail for _, detail in said))


def _merged_facts(sources: Sequence[SourceFacts]) -> Facts:
    told = [source.facts for source in sources if source.facts is not None]
    zones = {facts.zone for facts in told}
    updates = [facts.newest_update for facts in told if facts.newest_update is not None]
    states = {facts.mirror for facts in told} - {"none"}
    return Facts(
        location=f"{len(sources)} {'source' if len(sources) == 1 else 'sources'}",
        schema_version=min(facts.schema_version for facts in told),
        zone=zones.pop() if len(zones) == 1 else str(SEVERAL_ZONES),
        zone_guessed=any(facts.zone_guessed for facts in told),
        clusters=tuple(sorted(cluster for facts in told for cluster in facts.clusters)),
        units=sum(facts.units for facts in told),
        newest_update=max(updates, default=None),
        missing_tables=tuple(table for table in Table if any(table in facts.missing_tables for facts in told)),
        mirror="none" if not states else ("behind" if "behind" in states else "fresh"),
        sources=tuple(sources),
    )
