"""Answers of two time ranges side by side: the same groups then and now, and the change in percent."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.answers.answer import Answer, groups_of_rows
from ceems_grpc.domain.key_descriptions import describe_key
from ceems_grpc.domain.questions.limits import check_cells
from ceems_grpc.schema import Column, Kind, Type, Unit
from ceems_grpc.store.runtime.cancellation import check_cancelled, until_cancelled

PREVIOUS, CHANGE = ".previous", ".change_percent"
"""The endings of the names of the columns that a comparison adds."""
_ZERO, _HUNDRED, _NONE = pa.scalar(0.0), pa.scalar(100.0), pa.scalar(None, pa.float64())


def side_by_side(now: Answer, then: Answer, keys: Sequence[str], *, change: bool) -> Answer:
    """Return an answer with the columns X and X.previous for each column of numbers that is not a key.

    ``keys``: the columns that identify a row, which both answers have. Rows that exist only in ``then`` come last,
    without current values. ``change``: also add X.change_percent, which is null if X.previous is 0 or either is null.
    """
    left, right = _places(now.table, then.table, keys)
    names = _names(now.table, then.table)
    numbers = {name for name in names if name not in keys and _is_number(name, now, then)}
    check_cells(len(left), len(names) + len(numbers) * (2 if change else 1))
    found: dict[str, pa.ChunkedArray | pa.Array] = {}
    columns = dict(then.columns) | now.columns
    for name in names:
        check_cancelled()
        of_now, of_then = _taken(now.table, name, left), _taken(then.table, name, right)
        if name not in numbers:
            found[name] = pc.coalesce(of_now, of_then) if of_now.type == of_then.type else of_now
            continue
        found[name], found[name + PREVIOUS] = of_now, of_then
        columns[name + PREVIOUS] = _previous(name, now.column_of(name))
        if change:
            found[name + CHANGE] = _change(of_now, of_then)
            columns[name + CHANGE] = _changed(name, now.column_of(name))
    told = tuple(f"Earlier time range: {text}" for text in then.warnings if text not in now.warnings)
    missing = tuple(dict.fromkeys((*now.missing, *then.missing)))
    return replace(now, table=pa.table(found), columns=columns, warnings=(*now.warnings, *told), missing=missing)


def _places(now: pa.Table, then: pa.Table, keys: Sequence[str]) -> tuple[pa.Int64Array, pa.Int64Array]:
    """Return for each row of the answer its index in both tables; null if a table lacks the row."""
    rows = {group: row for row, group in enumerate(until_cancelled(groups_of_rows(then, keys)))}
    right = [rows.pop(group, None) for group in until_cancelled(groups_of_rows(now, keys))]
    left: list[int | None] = [*range(now.num_rows), *([None] * len(rows))]
    return pa.array(left, pa.int64()), pa.array([*right, *rows.values()], pa.int64())


def _names(now: pa.Table, then: pa.Table) -> list[str]:
    """Return the names of all columns in the order of ``now``. Keys that only ``then`` has follow their metric."""
    more: dict[str, list[str]] = {}
    known = set(now.column_names)
    for name in then.column_names:
        if name not in known:
            more.setdefault(name.partition(".")[0], []).append(name)
    last = {name.partition(".")[0]: name for name in now.column_names}
    found: list[str] = []
    for name in now.column_names:
        found.append(name)
        head = name.partition(".")[0]
        if last[head] == name:
            found += more.pop(head, [])
    return found + [name for names in more.values() for name in names]


def _is_number(name: str, *answers: Answer) -> bool:
    types = [each.table.schema.field(name).type for each in answers if name in each.table.column_names]
    return all(pa.types.is_integer(type_) or pa.types.is_floating(type_) for type_ in types)


def _taken(table: pa.Table, name: str, places: pa.Int64Array) -> pa.ChunkedArray | pa.Array:
    return table.column(name).take(places) if name in table.column_names else pa.nulls(len(places), pa.float64())


def _change(now: pa.ChunkedArray, then: pa.ChunkedArray) -> pa.ChunkedArray:
    before = then.cast(pa.float64())
    divisor = pc.if_else(pc.equal(before, _ZERO), _NONE, pc.abs(before))
    return pc.multiply(pc.divide(pc.subtract(now.cast(pa.float64()), before), divisor), _HUNDRED)


def _previous(name: str, column: Column) -> Column:
    return replace(
        column,
        name=name + PREVIOUS,
        type=Type.INTEGER,
        unit=column.unit_of(column.key_in(name)),
        description=f"{describe_key(column, column.key_in(name))}, in the earlier time range",
    )


def _changed(name: str, column: Column) -> Column:
    description = f"{describe_key(column, column.key_in(name))}: change since the earlier time range"
    return Column(name + CHANGE, Kind.DERIVED, description, Unit.CHANGE, Type.INTEGER)
