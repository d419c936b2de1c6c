"""Merge the groups of several sources into the groups that one source with all rows would return.

Each source is asked for partial results that can be combined: sums, counts and least values. A column that a source
lacks counts as null in all of its rows.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.columnar.assemble import type_of_measure
from ceems_grpc.store.plan import (
    WAIT_COLUMNS,
    Count,
    CountIf,
    FirstBy,
    Key,
    Max,
    Measure,
    Min,
    Order,
    Statistic,
    Sum,
    Waits,
    WeightedSum,
    WeightOf,
)
from ceems_grpc.store.plan.pruning import measure_without_missing

Has = Callable[[str], bool]

_JOINED = "#joined."  # prefixes of helper columns
_BY = "#by."
_ROWS = "#rows"
_NUMBERED = {"day", "step", "bucket"}
BETWEEN = "\x01"
"""Separates the two texts of `FirstBy` if they are joined into one; no text of the database contains it."""
_SUM = pc.ScalarAggregateOptions(skip_nulls=True, min_count=1)


def part_measures(measures: Sequence[Measure], has: Has) -> tuple[Measure, ...]:
    """Return the measures to ask of one source, from which `merge_groups` computes the wanted ones.

    ``measures`` may themselves be those of a part, so two of them can ask for the same.
    """
    asked: list[Measure] = []
    for measure in measures:
        match measure:
            case FirstBy(name, column, by) if has(by):
                asked.append(FirstBy(_BY + name, by, by))
                asked += [measure] if has(column) else []
            case Min(_, value) | Max(_, value) if has(value.column):
                asked.append(measure)
            case Sum(_, operand) if has(operand.column if isinstance(operand, Key) else operand):
                asked.append(measure)
            case WeightedSum(name, value, weight) | WeightOf(name, value, weight) if has(value.column):
                asked.append(measure if has(weight.column) else Sum(name, value))
            case Waits() if all(map(has, WAIT_COLUMNS)):
                asked.append(measure)
            case Count() | CountIf():
                asked.append(measure_without_missing(measure, has))
    return tuple(dict.fromkeys(asked)) or (Count(_ROWS),)


def part_of_groups(answer: pa.Table, keys: Sequence[str], measures: Sequence[Measure], has: Has) -> pa.Table:
    """Return a source's answer to `part_measures` with all columns that `merge_groups` needs; missing ones are null."""
    columns: dict[str, pa.ChunkedArray] = {}
    for name in keys:
        type_ = pa.int64() if name in _NUMBERED else pa.string()
        columns[name] = _column(answer, name, type_)
    for measure in measures:
        name = measure.name
        if isinstance(measure, FirstBy):
            first = _column(answer, _BY + name, pa.string())
            value = pc.fill_null(_column(answer, name, pa.string()), "")
            columns[_JOINED + name] = pc.binary_join_element_wise(first, value, BETWEEN)
            continue
        column = _column(answer, name, type_of_measure(measure))
        if isinstance(measure, WeightedSum | WeightOf) and not has(measure.weight.column):
            column = pc.multiply(column, 0.0)  # a missing weight is 0
        columns[name] = column
    return pa.table(columns)


def merge_groups(
    parts: Sequence[pa.Table], keys: Sequence[str], measures: Sequence[Measure], order: Sequence[Order]
) -> pa.Table:
    """Return one row per group."""
    asked = list(map(_aggregation, measures))
    grouped = pa.concat_tables(parts).group_by(list(keys), use_threads=False).aggregate(asked)
    columns = {name: grouped.column(name) for name in keys}
    for measure in measures:
        columns[measure.name] = _finished(grouped, measure)
    return _ordered(pa.table(columns), keys, order)


def _aggregation(measure: Measure) -> tuple[str, str, pc.FunctionOptions | None]:
    match measure:
        case FirstBy(name):
            return _JOINED + name, "min", None
        case Min(name):
            return name, "min", None
        case Max(name) | Waits(name, Statistic.MAX):
            return name, "max", None
    return measure.name, "sum", _SUM


def _finished(grouped: pa.Table, measure: Measure) -> pa.ChunkedArray:
    name, type_ = measure.name, type_of_measure(measure)
    if isinstance(measure, FirstBy):
        joined = grouped.column(f"{_JOINED}{name}_min")
        return pc.list_element(pc.split_pattern(joined, BETWEEN, max_splits=1), 1).cast(type_)
    column = grouped.column("_".join(_aggregation(measure)[:2])).cast(type_)
    return pc.fill_null(column, 0) if pa.types.is_integer(type_) else column


def _ordered(table: pa.Table, keys: Sequence[str], order: Sequence[Order]) -> pa.Table:
    if not keys:
        return table
    wanted = [(str(item.operand), "descending" if item.descending else "ascending") for item in order]
    known = [pair for pair in wanted if pair[0] in table.column_names]
    # SQLite returns groups in this order when no order is asked for: nulls first.
    table = nulls_first(table, keys)
    return table.take(pc.sort_indices(table, known)) if known else table


def nulls_first(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Sort by columns in SQLite's default order: nulls first."""
    columns: dict[str, pa.ChunkedArray] = {}
    for name in names:
        columns[f"there {name}"] = pc.is_valid(table.column(name)).cast(pa.int8())
        columns[f"value {name}"] = table.column(name)
    return table.take(pc.sort_indices(pa.table(columns), [(name, "ascending") for name in columns]))


def _column(table: pa.Table, name: str, type_: pa.DataType) -> pa.ChunkedArray:
    if name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, type_)])
    column = table.column(name)
    return column if column.type == type_ else column.cast(type_)
