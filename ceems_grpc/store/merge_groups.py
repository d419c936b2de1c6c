"""Groups of several sources, merged as one source would have summed them.

Each source is asked for parts that add up: sums, counts, the least value. Distinct values are counted from the values
themselves. What a source has no column for counts as null in all its rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.column_rules import type_of_measure
from ceems_grpc.store.plan import (
    Aggregate,
    Count,
    CountDistinct,
    CountIf,
    FirstBy,
    Key,
    Measure,
    Order,
    Sum,
    WeightedSum,
    WeightOf,
)
from ceems_grpc.store.routing import measure_without_missing

Has = Callable[[str], bool]

_JOINED = "#joined."  # prefixes of helper columns
_BY = "#by."
_VALUE = "#value."
_ROWS = "#rows"
_BETWEEN = "\x01"
_SUM = pc.ScalarAggregateOptions(skip_nulls=True, min_count=1)
_VALID = pc.CountOptions(mode="only_valid")


def part_measures(measures: Sequence[Measure], has: Has, *, counted: bool) -> tuple[Measure, ...]:
    """Return what to ask of one source so that `merge_groups` can put the measures together.

    ``counted``: each group is in one source only, so that distinct values can be counted there.
    """
    asked: list[Measure] = []
    for measure in measures:
        match measure:
            case CountDistinct(_, column):
                asked += [measure] if counted and has(column) else []
            case FirstBy(name, column, by) if has(by):
                asked.append(FirstBy(_BY + name, by, by))
                asked += [measure] if has(column) else []
            case Sum(_, operand) if has(operand.column if isinstance(operand, Key) else operand):
                asked.append(measure)
            case WeightedSum(name, value, weight) | WeightOf(name, value, weight) if has(value.column):
                asked.append(measure if has(weight.column) else Sum(name, value))
            case Count() | CountIf():
                asked.append(measure_without_missing(measure, has))
    return tuple(asked) or (Count(_ROWS),)


def distinct_plans(plan: Aggregate, *, counted: bool) -> list[tuple[str, Aggregate]]:
    """Return what to ask for values that only all sources together can count, by the name of the measure."""
    found = []
    for measure in plan.measures:
        if isinstance(measure, CountDistinct) and not counted:
            by = tuple(dict.fromkeys((*plan.by, measure.column)))
            found.append((measure.name, replace(plan, by=by, measures=(Count(_ROWS),), order=())))
    return found


def part_of_groups(answer: pa.Table, keys: Sequence[str], measures: Sequence[Measure], has: Has) -> pa.Table:
    """Return a source's answer to its `part_measures` with all columns that merging needs, nulls where it has none."""
    columns: dict[str, pa.ChunkedArray] = {}
    for name in keys:
        type_ = pa.int64() if name in {"day", "step"} else pa.string()
        columns[name] = _column(answer, name, type_)
    for measure in measures:
        name = measure.name
        if isinstance(measure, FirstBy):
            first = _column(answer, _BY + name, pa.string())
            value = pc.fill_null(_column(answer, name, pa.string()), "")
            columns[_JOINED + name] = pc.binary_join_element_wise(first, value, _BETWEEN)
            continue
        column = _column(answer, name, type_of_measure(measure))
        if isinstance(measure, WeightedSum | WeightOf) and not has(measure.weight.column):
            column = pc.multiply(column, 0.0)  # a missing weight is 0
        columns[name] = column
    return pa.table(columns)


def part_of_values(answer: pa.Table, keys: Sequence[str], name: str, column: str) -> pa.Table:
    """Return a source's answer to one of `distinct_plans` as groups with their values."""
    columns = {key: _column(answer, key, pa.int64() if key == "day" else pa.string()) for key in keys}
    return pa.table({**columns, _VALUE + name: _column(answer, column, pa.string())})


def merge_groups(
    parts: Sequence[pa.Table],
    values: Sequence[Sequence[pa.Table]],
    keys: Sequence[str],
    measures: Sequence[Measure],
    order: Sequence[Order],
) -> pa.Table:
    """Return one row per group. ``values``: of each of the `distinct_plans`, the sources' answers."""
    different = [_different(pa.concat_tables(tables)) for tables in values]
    # Groups of the values are groups of the parts too: put under each other, they are summed and counted at once.
    rows = pa.concat_tables([*parts, *different], promote_options="default")
    counted = [name for table in different for name in table.column_names if name.startswith(_VALUE)]
    asked: list[tuple[str, str, pc.FunctionOptions | None]] = [(name, "count", _VALID) for name in counted]
    for measure in measures:
        if isinstance(measure, FirstBy):
            asked.append((_JOINED + measure.name, "min", None))
        elif _VALUE + measure.name not in counted:
            asked.append((measure.name, "sum", _SUM))
    grouped = rows.group_by(list(keys), use_threads=False).aggregate(asked)
    columns = {name: grouped.column(name) for name in keys}
    for measure in measures:
        columns[measure.name] = _finished(grouped, measure, counted)
    return _ordered(pa.table(columns), keys, order)


def _finished(grouped: pa.Table, measure: Measure, counted: Sequence[str]) -> pa.ChunkedArray:
    name, type_ = measure.name, type_of_measure(measure)
    if isinstance(measure, FirstBy):
        joined = grouped.column(f"{_JOINED}{name}_min")
        return pc.list_element(pc.split_pattern(joined, _BETWEEN, max_splits=1), 1).cast(type_)
    if _VALUE + name in counted:
        return grouped.column(f"{_VALUE}{name}_count").cast(type_)
    column = grouped.column(f"{name}_sum").cast(type_)
    return pc.fill_null(column, 0) if pa.types.is_integer(type_) else column


def _ordered(table: pa.Table, keys: Sequence[str], order: Sequence[Order]) -> pa.Table:
    if not keys:
        return table
    wanted = [(str(item.operand), "descending" if item.descending else "ascending") for item in order]
    known = [pair for pair in wanted if pair[0] in table.column_names]
    # As SQLite has groups that are asked for in no order: nulls first.
    table = nulls_first(table, keys)
    return table.take(pc.sort_indices(table, known)) if known else table


def nulls_first(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Sort by columns as SQLite does where nothing else is said: rows without a value first."""
    columns: dict[str, pa.ChunkedArray] = {}
    for name in names:
        columns[f"there {name}"] = pc.is_valid(table.column(name)).cast(pa.int8())
        columns[f"value {name}"] = table.column(name)
    return table.take(pc.sort_indices(pa.table(columns), [(name, "ascending") for name in columns]))


def _different(table: pa.Table) -> pa.Table:
    return table.group_by(table.column_names, use_threads=False).aggregate([])


def _column(table: pa.Table, name: str, type_: pa.DataType) -> pa.ChunkedArray:
    if name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, type_)])
    return table.column(name).cast(type_)
