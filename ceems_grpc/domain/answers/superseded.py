"""Rows of units that never started and that a later row of the same unit replaces.

CEEMS identifies a row by cluster, uuid and start. A pod or job that was first seen while it waited therefore has two
rows once it has started: one without a start, which is never updated again and never ends, and one with a start. Panels
leave out the first one. The REST API returns both, as recorded.

A uuid may be used again years later, so the row with a start replaces only what was created before that start.
"""

from collections.abc import Sequence

import pyarrow as pa

from ceems_grpc.domain.answers.answer import groups_of_rows
from ceems_grpc.store.plan import (
    ALWAYS,
    NEVER,
    Aggregate,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Count,
    In,
    Scan,
    Table,
    Waiting,
)
from ceems_grpc.store.protocols import Reader, SharesMoment
from ceems_grpc.store.runtime.cancellation import run_cancellable, until_cancelled

_COUNT = "num_units"
_FOUND = "superseded units"
_MOST_WAITING = 10_000  # rows without a start that are examined once for all questions
_MOST_NAMED = 200  # units that each statement names
_STARTED = Compare("started_at_ts", ">", 0)
_UNIT = ("cluster_id", "uuid")
_TIMES = ("created_at_ts", "started_at_ts")
Units = dict[str, set[str]]
"""The uuids of units by their clusters."""


async def without_superseded(reader: Reader, where: Condition) -> Condition:
    """Return a condition about units without the rows that are superseded."""
    units = await _superseded(reader, where)
    return AllOf((where, *_other_than(units))) if units else where


async def counted_without_superseded(
    reader: Reader, where: Condition, by: Sequence[str], table: pa.Table, counts: Sequence[str] = (_COUNT,)
) -> pa.Table:
    """Return a table of groups whose counts leave out superseded rows. Groups without other rows are left out.

    ``where``: the condition whose units the table counts. Such rows hold nothing but their count, so no sum changes,
    and the store can answer from sums that it has prepared.
    """
    units = await _superseded(reader, where)
    if not units:
        return table
    plan = Aggregate(Table.UNITS, tuple(by), (Count(_COUNT),), AllOf((where, Waiting(), _any_of(units))))
    less = await reader.aggregate(plan)
    return await run_cancellable(lambda: _subtracted(table, less, by, counts))


def _subtracted(table: pa.Table, less: pa.Table, by: Sequence[str], counts: Sequence[str]) -> pa.Table:
    superseded = dict(zip(groups_of_rows(less, by), less.column(_COUNT).to_pylist(), strict=True))
    gone = [superseded.get(group, 0) for group in until_cancelled(groups_of_rows(table, by))]
    for name in counts:
        left = [count - fewer for count, fewer in zip(table.column(name).to_pylist(), gone, strict=True)]
        table = table.set_column(table.column_names.index(name), name, pa.array(left, table.schema.field(name).type))
    return table.filter(pa.array([count > 0 for count in table.column(counts[0]).to_pylist()], pa.bool_()))


async def _superseded(reader: Reader, where: Condition) -> Units:
    """Return the units with a superseded row: all that meet the condition, and perhaps others."""
    if isinstance(reader, SharesMoment):
        if _FOUND not in reader.found:
            reader.found[_FOUND] = await _all_superseded(reader)
        units: Units | None = reader.found[_FOUND]
        if units is not None:
            return units
    return await _superseded_among(reader, where)


async def _all_superseded(reader: Reader) -> Units | None:
    """Return all units with a superseded row; None if they are too many to be named in statements."""
    counted = await reader.aggregate(Aggregate(Table.UNITS, (), (Count(_COUNT),), Waiting()))
    if sum(counted.column(_COUNT).to_pylist()) > _MOST_WAITING:
        return None
    units = await _superseded_among(reader, ALWAYS)
    return units if sum(map(len, units.values())) <= _MOST_NAMED else None


async def _superseded_among(reader: Reader, where: Condition) -> Units:
    """Return the units that meet the condition and have a superseded row."""
    waiting = await _times(reader, AllOf((where, Waiting())))
    if not waiting:
        return {}
    asked: Units = {}
    for cluster, uuid in waiting:
        asked.setdefault(cluster, set()).add(uuid)
    started = await _times(reader, AllOf((_STARTED, _any_of(asked))))
    found: Units = {}
    for (cluster, uuid), (created, _) in waiting.items():
        if (cluster, uuid) in started and created <= started[cluster, uuid][1]:
            found.setdefault(cluster, set()).add(uuid)
    return found


async def _times(reader: Reader, where: Condition) -> dict[tuple[str, str], tuple[int, int]]:
    """Return when units were created and when they last started, in milliseconds; 0 if unknown."""
    columns = (*_UNIT, *(name for name in _TIMES if reader.has(Table.UNITS, name)))
    table = await reader.table(Scan(Table.UNITS, columns, where))
    return await run_cancellable(lambda: _times_of(table))


def _times_of(table: pa.Table) -> dict[tuple[str, str], tuple[int, int]]:
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for row in until_cancelled(table.to_pylist()):
        created, started = (row.get(name) or 0 for name in _TIMES)
        unit = row["cluster_id"], row["uuid"]
        if None not in unit:
            found[unit] = created, max(started, found.get(unit, (0, 0))[1])
    return found


def _any_of(units: Units) -> Condition:
    parts = [AllOf((In("cluster_id", (c,)), In("uuid", tuple(sorted(units[c]))))) for c in sorted(units)]
    return AnyOf(tuple(parts)) if parts else NEVER


def _other_than(units: Units) -> list[Condition]:
    """Return the conditions for rows that have a start or belong to none of the units."""
    return [
        AnyOf(
            (
                _STARTED,
                In("cluster_id", (cluster,), negate=True),
                In("uuid", tuple(sorted(units[cluster])), negate=True),
            )
        )
        for cluster in sorted(units)
    ]
