"""Several sources as one store: each is asked for its part, side by side, and the parts are merged as one answer.

Only sources that can hold rows of an answer are asked. A source that fails, or takes longer than its timeout, is left
out, and what is missing is noted (`ceems_grpc.store.missing`); or, where so set, the question fails.
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
from ceems_grpc.store.merged.source_handle import Known, Part, Session, first_of_all
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.plan import Aggregate, Condition, Distinct, KeyScan, Scan, Spread, Table
from ceems_grpc.store.plan.pruning import clusters_of, holding_only, within, without_missing
from ceems_grpc.store.protocols import Facts, HasMirrors, MirrorStatus, PartFacts, Reader, Store

_Result = TypeVar("_Result")


class MergedStore:
    """Sources by name (each with what opens its store when it is first needed), as one store.

    ``timeout``: seconds that each source has for a question (None: no end). ``fail_on_missing``: questions fail that
    a source is missing for.
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, Callable[[], Store]]],
        timeout: float | None = 10.0,
        *,
        fail_on_missing: bool = False,
    ) -> None:
        self._parts = [Part(name, open_store, timeout) for name, open_store in sources]
        self._fail = fail_on_missing

    @asynccontextmanager
    async def read(self) -> AsyncIterator["MergedReader"]:
        """Open a reader over all sources that answer; none at all is a `StoreError`."""
        reader = MergedReader(await self._look(), fail_on_missing=self._fail)
        try:
            yield reader
        finally:
            await reader.close()

    async def facts(self) -> Facts:
        """Describe the sources, each as one of ``parts``; none that answers is a `StoreError`."""
        found = await first_of_all(_facts_of(part) for part in self._parts)
        told = [facts for facts in found if facts.facts is not None]
        if not told:
            raise _nothing_left(found)
        _check_clusters((part.name, {cluster for cluster, _ in part.facts.clusters}) for part in told)
        return _merged_facts(found)

    async def version(self) -> Hashable:
        """Return the versions of all sources; of one that does not answer, since when it does not."""
        versions: list[Hashable] = []
        for part, known, _ in await self._look():
            version = ("missing", part.falls) if isinstance(known, Missing) else known.version
            versions.append((part.name, version))
        return tuple(versions)

    def mirrors(self) -> Mapping[str, MirrorStatus]:
        """Return how the mirrors of the sources are, by their names; of those that were needed so far."""
        found: dict[str, MirrorStatus] = {}
        for part in self._parts:
            if isinstance(part.opened, HasMirrors):
                found.update((part.name, status) for status in part.opened.mirrors().values())
        return found

    async def close(self) -> None:
        """Close all sources."""
        await first_of_all(part.close() for part in self._parts)

    async def _look(self) -> list[tuple[Part, "Known | Missing", float]]:
        looked: list[tuple[Part, Known | Missing, float]] = await first_of_all(map(_look_at, self._parts))
        known = [(part.name, known.clusters) for part, known, _ in looked if isinstance(known, Known)]
        if not known:
            raise _nothing_left([missing for _, missing, _ in looked if isinstance(missing, Missing)])
        _check_clusters(known)
        return looked


class MergedReader:
    """The sources' readers, as one; see `ceems_grpc.store.protocols.Reader`.

    A source's answers are all of one moment: that at which the source is first asked.
    """

    def __init__(self, looked: Iterable[tuple[Part, "Known | Missing", float]], *, fail_on_missing: bool) -> None:
        self._fail = fail_on_missing
        self._sessions: list[_Source] = []
        self._lost: list[Missing] = []
        self._noted: dict[str, Missing] = {}
        self._all: list[_Source] = []
        for part, known, used in looked:
            if isinstance(known, Missing):
                self._lost.append(known)
            else:
                self._sessions.append(_Source(part, known, used))
        self._all = list(self._sessions)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What the answers given so far lack."""
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
        """Tell whether a source has the column. A table of usage has to be in all that hold anything.

        Otherwise an answer from the table would silently lack the sources that have it not.
        """
        if table is Table.ADMIN_USERS and column == ADMINISTERED:
            return any(session.known.has(table, None) for session in self._sessions)
        needed = [session for session in self._sessions if not session.known.is_empty] or self._sessions
        if column is None and table is not Table.ADMIN_USERS:
            return all(session.known.has(table, None) for session in needed)
        return any(session.known.has(table, column) for session in self._sessions)

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan."""
        merge = RowMerge(scan)

        async def ask(session: "_Source", reader: Reader) -> pa.Table | None:
            columns = _Columns(session, reader, scan.table)
            if columns.is_foreign([column for column in scan.columns if isinstance(column, str)]):
                return None
            rows = await reader.table(merge.part_scan(columns.has, columns.where(scan.where)))
            return merge.aligned(columns.own(rows), columns.fill)

        parts = [part for part in await self._each(scan.table, scan.where, ask) if part is not None]
        if not parts:
            parts = [merge.aligned(pa.table({"id": pa.array([], pa.int64())}), {})]
        return await asyncio.to_thread(merge.merge, parts)

    async def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan bit by bit."""
        if not all(isinstance(column, str) for column in scan.columns):
            raise ValueError("batches() gives JSON columns as text; use table() for AllKeys")
        if scan.table is Table.ADMIN_USERS:  # few, and to be looked at together
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

        async def ask(session: "_Source", reader: Reader) -> pa.Table:
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

        async def ask(session: "_Source", reader: Reader) -> pa.Table:
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
        """Return the sorted keys of each column; ``recent`` counts the rows of each source."""

        async def ask(session: "_Source", reader: Reader) -> dict[str, tuple[str, ...]]:
            columns = _Columns(session, reader, plan.table)
            columns.check()
            present = tuple(name for name in plan.columns if columns.has(name))
            where = columns.where(plan.where)
            return await reader.keys(replace(plan, columns=present, where=where))

        parts = await self._each(plan.table, plan.where, ask)
        return {name: tuple(sorted({key for part in parts for key in part.get(name, ())})) for name in plan.columns}

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the different values of the columns, ordered by them; ``recent`` counts the rows of each source."""
        merge = RowMerge(Scan(plan.table, plan.columns))

        async def ask(session: "_Source", reader: Reader) -> pa.Table | None:
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
        """Close the sources' readers."""
        await first_of_all(session.close() for session in self._all)

    # Asking

    async def one(self, session: "_Source", work: Callable[["_Source", Reader], Awaitable[_Result]]) -> _Result | None:
        """Return what the work gets from a source; None where the source is lost, which is noted."""
        if session not in self._sessions:
            return None
        try:
            return await session.ask(partial(work, session))
        except StoreError as error:
            missing = session.part.missing(error)
            if session in self._sessions:
                self._sessions.remove(session)
                self._lost.append(missing)
            self._note(missing)
            return None

    async def _each(
        self, table: Table, where: Condition, work: Callable[["_Source", Reader], Awaitable[_Result]]
    ) -> list[_Result]:
        async def wrapped(session: "_Source", reader: Reader) -> tuple[_Result]:
            return (await work(session, reader),)  # so that a result is never None

        found = await first_of_all(self.one(session, wrapped) for session in self._route(table, where))
        given: list[_Result] = [result[0] for result in found if result is not None]
        if not given:
            raise _nothing_left(self._noted.values())
        return given

    def _route(self, table: Table, where: Condition) -> list["_Source"]:
        """Return the sources that can hold rows of the condition; note those that could but are lost."""
        if table is Table.ADMIN_USERS:  # its rows are of no cluster
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
        return chosen or self._sessions[:1]  # one that gives an answer without rows

    def _note(self, missing: Missing) -> None:
        if self._fail:
            kind = StoreBusyError if missing.busy else StoreError
            raise kind(missing.sentence, missing.detailed)
        self._noted.setdefault(missing.source, missing)


class _Source(Session):
    """A source's reader, and what the source is known to hold."""

    def __init__(self, part: Part, known: Known, used: float) -> None:
        super().__init__(part, used)
        self.known = known


class _Columns:
    """Which columns of a table a source has, and what is known of those that it has not.

    ``fill``: of columns that it has not, what they would hold in each row.
    """

    def __init__(self, session: "_Source", reader: Reader, table: Table) -> None:
        self._reader = reader
        self._table = table
        self._clusters: frozenset[str] | None = None
        self._lists: Mapping[str, frozenset[str]] = {}
        self._held = session.known.clusters
        self.fill: Mapping[str, str] = {}
        if reader.has(Table.ADMIN_USERS, ADMINISTERED):
            return  # a source of several sites says itself who administers what
        if table is Table.ADMIN_USERS:
            # Administrators of a source administer what it holds, and nothing elsewhere.
            self._lists = {ADMINISTERED: self._held}
            self.fill = {ADMINISTERED: json.dumps(sorted(self._held))}
        elif not session.known.nowhere:
            self._clusters = self._held

    def has(self, column: str) -> bool:
        return self._reader.has(self._table, column)

    def where(self, condition: Condition) -> Condition:
        """Return what is left of a condition in this source."""
        left = without_missing(condition, self.has, self._lists)
        if self._table is Table.ADMIN_USERS:
            left = holding_only(left, ADMINISTERED, self._held)
        return left if self._clusters is None else within(left, self._clusters)

    def own(self, rows: pa.Table) -> pa.Table:
        """Return rows without what the source says about rights on clusters that it does not hold.

        Whoever writes one source's database could otherwise name the clusters of another.
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
            raise StoreSchemaError(f"It has no table {self._table}, since it was made by an older version of CEEMS.")

    def is_foreign(self, columns: Iterable[str]) -> bool:
        """Tell whether a source has its administrators in another form; a missing table is an error elsewhere."""
        if self._table is not Table.ADMIN_USERS:
            self.check()
            return False
        return not all(self.has(column) or column in self.fill for column in columns)


class _Rows:
    """The rows of one source, bit by bit."""

    def __init__(self, reader: MergedReader, session: "_Source", merge: RowMerge) -> None:
        self._reader = reader
        self._session = session
        self._merge = merge
        self._batches: AsyncIterator[pa.RecordBatch] | None = None
        self._columns: _Columns | None = None

    async def next(self) -> pa.Table | None:
        return await self._reader.one(self._session, self._next)

    async def _next(self, session: "_Source", reader: Reader) -> pa.Table | None:
        if self._batches is None:
            columns = _Columns(session, reader, self._merge.scan.table)
            if columns.is_foreign([name for name in self._merge.scan.columns if isinstance(name, str)]):
                return None
            self._columns = columns
            self._batches = reader.batches(self._merge.part_scan(columns.has, columns.where(self._merge.scan.where)))
        batch = await anext(self._batches, None)
        if batch is None or self._columns is None:
            return None
        return self._merge.aligned(self._columns.own(pa.Table.from_batches([batch])), self._columns.fill)

    async def close(self) -> None:
        batches: Any = self._batches
        if batches is not None and hasattr(batches, "aclose"):
            with suppress(StoreError):
                await self._session.ask(lambda _: batches.aclose())


async def _look_at(part: Part) -> tuple[Part, Known | Missing, float]:
    started = time.monotonic()
    try:
        known: Known | Missing = await part.look()
    except StoreError as error:
        known = part.missing(error)
    return part, known, time.monotonic() - started


async def _facts_of(part: Part) -> PartFacts:
    try:
        return PartFacts(part.name, await part.facts())
    except StoreError as error:
        return PartFacts(part.name, None, str(error), error.detail)


def _distinct(parts: Sequence[pa.Table], plan: Distinct) -> pa.Table:
    rows = pa.concat_tables(parts).select(list(plan.columns))
    rows = rows.group_by(list(plan.columns), use_threads=False).aggregate([]).select(list(plan.columns))
    rows = nulls_first(rows, plan.columns)
    return rows if plan.limit is None or plan.limit < 0 else rows.slice(0, plan.limit)


def _check_clusters(known: Iterable[tuple[str, Iterable[str]]]) -> None:
    for (one, clusters), (other, others) in combinations([(name, frozenset(ids)) for name, ids in known], 2):
        if both := sorted(clusters & others):
            raise StoreError(
                f"Sources '{one}' and '{other}' both hold cluster {both[0]}, so that their rows cannot be told apart: "
                "give clusters different ids, or take one of the sources out of the data source."
            )


def _nothing_left(missing: Iterable[Missing | PartFacts]) -> StoreError:
    """Make the error for a question that no source is left for."""
    said: list[tuple[str, str]] = []
    busy = True
    for part in missing:
        if isinstance(part, Missing):
            said.append((part.sentence, part.detailed))
            busy = busy and part.busy
        else:
            said.append((f"Source '{part.name}': {part.problem}", f"Source '{part.name}': {part.detail}"))
            busy = False
    kind = StoreBusyError if busy else StoreError
    return kind(" ".join(message for message, _ in said), " ".join(detail for _, detail in said))


def _merged_facts(parts: Sequence[PartFacts]) -> Facts:
    told = [part.facts for part in parts if part.facts is not None]
    zones = {facts.zone for facts in told}
    updates = [facts.newest_update for facts in told if facts.newest_update is not None]
    states = {facts.mirror for facts in told} - {"none"}
    return Facts(
        location=f"{len(parts)} {'source' if len(parts) == 1 else 'sources'}",
        schema_version=min(facts.schema_version for facts in told),
        zone=zones.pop() if len(zones) == 1 else str(SEVERAL_ZONES),
        zone_guessed=any(facts.zone_guessed for facts in told),
        clusters=tuple(sorted(cluster for facts in told for cluster in facts.clusters)),
        units=sum(facts.units for facts in told),
        newest_update=max(updates, default=None),
        missing_tables=tuple(table for table in Table if any(table in facts.missing_tables for facts in told)),
        mirror="none" if not states else ("behind" if "behind" in states else "fresh"),
        parts=tuple(parts),
    )
