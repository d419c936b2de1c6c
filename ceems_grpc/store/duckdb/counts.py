"""Counts units in memory: by group, those that ended in a window or are running, without a statement.

Stats ask for exactly this, again and again. Counting a month of a million units takes less than a millisecond here. The
engine takes several times as long just to plan a statement. The few units that a user had in a window are found in the
same way, and the file reads their rows by id.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.columnar.layout import GROUP, Layout, quote
from ceems_grpc.store.plan import (
    Aggregate,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Count,
    CountIf,
    In,
    Instant,
    Measure,
    PairIn,
    Running,
    Table,
    Within,
    ended_or_running,
)
from ceems_grpc.store.runtime.query_trace import record

MOST_UNITS = 4_000_000
"""With more units, the engine counts: each unit takes 12 bytes as long as the mirror is open."""

MOST_ROWS = 200
"""Number of rows up to which reading them from the file by id is faster than the engine."""
_MOST_LOOKED_AT = 200_000  # units of a window; a question about more of them is not small

_ENDED = "ended_at_ts"
_Kind = Literal["all", "ended", "running"]


@dataclass(frozen=True, slots=True)
class Counting:
    """What to count: units that ended in the window or run, and meet ``others``; for each measure, which of the two."""

    window: Within
    others: tuple[Condition, ...]
    kinds: Mapping[str, _Kind]


def counting_of(plan: Aggregate) -> Counting | None:
    """Return what a plan about units counts; None if it asks for anything else."""
    split = ended_or_running(plan.where)
    kinds = {measure.name: kind for measure in plan.measures if (kind := _kind(measure)) is not None}
    if split is None or plan.order or plan.prorated or len(kinds) < len(plan.measures):
        return None
    return Counting(*split, kinds)


class UnitCounts:
    """The ends and the groups of all units at one moment of a mirror.

    ``highest``: the highest number of a group, or -1.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Read the units, which takes about 30 ms for a million. Raises duckdb.Error."""
        ended, group, units = quote(_ENDED), quote(GROUP), quote(Table.UNITS)
        found = connection.sql(
            f"SELECT CAST({ended} // 1000 AS UINTEGER) AS ended, {group}, TRY_CAST(id AS UINTEGER) AS id FROM {units}"  # noqa: S608 - quoted names
            f" WHERE {ended} > 0 ORDER BY ended"
        ).to_arrow_table()
        seconds = found.column("ended").combine_chunks()
        numbers = memoryview(seconds.buffers()[1] or b"").cast("I")  # bisect reads it without a copy
        self._ended = numbers[seconds.offset : seconds.offset + len(seconds)]
        self._groups = found.column(GROUP).combine_chunks()
        ids = found.column("id").combine_chunks()
        self._ids: pa.UInt32Array | None = None if ids.null_count else ids
        running = connection.sql(f"SELECT {group} FROM {units} WHERE {ended} = 0").to_arrow_table()  # noqa: S608
        self._running = running.column(GROUP).combine_chunks().value_counts()
        highest = pc.max(pa.chunked_array([self._groups, self._running.field("values")])).as_py()
        self.highest: int = -1 if highest is None else highest

    def by_group(self, counting: Counting, groups: pa.Table) -> pa.Table | None:
        """Return the counts by group number, like `DuckSql.by_group`. A group may have several rows.

        ``groups``: the texts of all groups. The result is None if the groups do not show which units meet a condition.
        """
        began, window = time.perf_counter(), counting.window
        chosen = _chosen(AllOf(counting.others), groups)
        if chosen is None:
            return None
        text = "units counted by group: ended between ? and ?, or running"
        recorded = record("mirror", "arrow", text, (window.start, window.end))
        first, last = bisect_left(self._ended, window.start), bisect_right(self._ended, window.end)
        ended = self._groups.slice(first, max(last - first, 0)).value_counts()
        kinds = counting.kinds
        found = pa.concat_tables([_counted(ended, "ended", kinds), _counted(self._running, "running", kinds)])
        found = found.filter(chosen.take(found.column(GROUP)))
        recorded.ran(began, found.num_rows)
        return found

    def few_rows(self, where: Condition, groups: pa.Table) -> list[int] | None:
        """Return the ids of a few rows that include all rows that meet a condition; None if there are many.

        ``groups``: the texts of all groups. Only units that ended in a window are found.
        """
        parts = where.parts if isinstance(where, AllOf) else (where,)
        window = next((part for part in parts if isinstance(part, Within) and part.instant is Instant.ENDED), None)
        if window is None or self._ids is None:
            return None
        first, last = bisect_left(self._ended, window.start), bisect_right(self._ended, window.end)
        count = max(last - first, 0)
        if count > _MOST_LOOKED_AT:
            return None
        may = pc.fill_null(_may_fulfil(where, groups).take(self._groups.slice(first, count)), fill_value=True)
        found: list[int] = self._ids.slice(first, count).filter(may).slice(0, MOST_ROWS + 1).to_pylist()
        return found if len(found) <= MOST_ROWS else None


def read_counts(connection: duckdb.DuckDBPyConnection, layout: Layout) -> UnitCounts | None:
    """Return the counts of the moment that the connection sees; None if they cannot be stored. Raises duckdb.Error."""
    units = layout.tables.get(Table.UNITS)
    if units is None or not {_ENDED, "id"} <= set(units.columns):
        return None
    ((rows,),) = connection.execute(f"SELECT count(*) FROM {quote(Table.UNITS)}").fetchall()  # noqa: S608 - quoted
    if rows > MOST_UNITS:
        return None
    try:
        return UnitCounts(connection)
    except duckdb.ConversionException:  # units that end after the year 2106
        return None


def _kind(measure: Measure) -> _Kind | None:
    match measure:
        case Count():
            return "all"
        case CountIf(_, Compare("ended_at_ts", ">", 0)):
            return "ended"
        case CountIf(_, Running()):
            return "running"
    return None


def _counted(counts: pa.StructArray, state: _Kind, kinds: Mapping[str, _Kind]) -> pa.Table:
    """Return the measures of groups, counting only units in one state."""
    numbers, rows = counts.flatten()
    none = pa.repeat(pa.scalar(0, pa.int64()), len(counts))
    return pa.table({GROUP: numbers} | {name: rows if kind in {"all", state} else none for name, kind in kinds.items()})


def _chosen(condition: Condition, groups: pa.Table) -> pa.BooleanArray | None:
    """Return for each group whether its units meet a condition; None if the texts of the group do not show it."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            together, chosen = (pc.and_, True) if isinstance(condition, AllOf) else (pc.or_, False)
            found: pa.BooleanArray = pa.repeat(pa.scalar(chosen), groups.num_rows)
            for part in parts:
                of_part = _chosen(part, groups)
                if of_part is None:
                    return None
                found = together(found, of_part)
            return found
        case In(str(column), values, negate) if column in groups.column_names:
            named = pc.is_in(groups.column(column).combine_chunks(), value_set=pa.array(values, pa.string()))
            return pc.invert(named) if negate else named
    return None


def _may_fulfil(condition: Condition, groups: pa.Table) -> pa.BooleanArray:
    """Return for each group whether any of its units may meet a condition."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            together, start = (pc.and_, True) if isinstance(condition, AllOf) else (pc.or_, False)
            found: pa.BooleanArray = pa.repeat(pa.scalar(start), groups.num_rows)
            for part in parts:
                found = together(found, _may_fulfil(part, groups))
            return found
        case PairIn((first, second), pairs):
            either = (In(name, tuple({pair[place] for pair in pairs})) for place, name in enumerate((first, second)))
            return _may_fulfil(AllOf(tuple(either)), groups)
    chosen = _chosen(condition, groups)
    return pa.repeat(pa.scalar(True), groups.num_rows) if chosen is None else chosen
