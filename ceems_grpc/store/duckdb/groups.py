"""Numbers for the groups of units. A group is a combination of cluster, project, user and so on.

Each unit of a mirror holds the number of its group, and a table of the mirror maps numbers to texts. The engine sums by
number several times faster than by texts. The sums are then merged by the texts.
"""

from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.schema import GROUPS
from ceems_grpc.store.columnar.group_merge import merge_groups, part_measures, part_of_groups
from ceems_grpc.store.columnar.layout import GROUP, TableLayout, quote
from ceems_grpc.store.plan import Aggregate, FirstBy

_TABLE = quote("#groups")
_Texts = tuple[str | None, ...]


def grouped_columns(layout: TableLayout) -> tuple[str, ...]:
    """Return the columns that define the groups: those of `GROUPS` that the table has."""
    return tuple(name for name in GROUPS if name in layout.columns)


def can_group(layout: TableLayout, plan: Aggregate) -> bool:
    """Return whether the group numbers determine all columns by which the plan groups or finds first values."""
    looked_for = [measure for measure in plan.measures if isinstance(measure, FirstBy)]
    needed = {*plan.by, *(name for measure in looked_for for name in (measure.column, measure.by))}
    return bool(plan.by) and not plan.day and needed <= set(grouped_columns(layout))


def create_groups(duck: duckdb.DuckDBPyConnection, layout: TableLayout) -> None:
    """Create the table of groups."""
    texts = ", ".join(f"{quote(name)} VARCHAR" for name in grouped_columns(layout))
    duck.execute(f"CREATE TABLE {_TABLE} ({quote(GROUP)} INTEGER, {texts})")


def number_groups(duck: duckdb.DuckDBPyConnection, layout: TableLayout, rows: pa.Table) -> pa.Table:
    """Return the rows with the numbers of their groups. New groups are recorded.

    Numbers start at 0 and keep their meaning as long as the mirror exists.
    """
    names = grouped_columns(layout)
    groups, places = _different(rows.select(list(names)))
    columns = [pa.array(texts, pa.string()) for texts in zip(*groups, strict=True)]
    found = dict(zip(names, columns, strict=True)) | {"place": pa.array(range(len(groups)), pa.int64())}
    equal = " AND ".join(f"known.{quote(name)} IS NOT DISTINCT FROM found.{quote(name)}" for name in names)
    texts = ", ".join(f"found.{quote(name)}" for name in names)
    duck.register("mirror_found", pa.table(found))
    try:
        duck.execute(
            f"INSERT INTO {_TABLE} SELECT (SELECT count(*) FROM {_TABLE}) + row_number() OVER () - 1, {texts}"  # noqa: S608
            f" FROM mirror_found AS found WHERE NOT EXISTS (SELECT 1 FROM {_TABLE} AS known WHERE {equal})"
        )
        numbers = duck.sql(
            f"SELECT known.{quote(GROUP)} FROM mirror_found AS found JOIN {_TABLE} AS known ON {equal} ORDER BY place"  # noqa: S608
        ).to_arrow_table()
    finally:
        duck.unregister("mirror_found")
    return rows.append_column(GROUP, numbers.column(0).take(places))


def read_groups(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Return the texts of all groups. The row index is the group's number."""
    rows: pa.Table = connection.sql(f"SELECT * FROM {_TABLE} ORDER BY {quote(GROUP)}").to_arrow_table()  # noqa: S608
    return rows


def put_together(plan: Aggregate, sums: pa.Table, groups: pa.Table) -> pa.Table:
    """Return the answer of an aggregation from sums by group number. A group may have several rows."""
    numbers = sums.column(GROUP)
    columns = {name: groups.column(name).take(numbers) for name in plan.by}
    for measure in part_measures(plan.measures, _has):
        named = groups.column(measure.column).take(numbers) if isinstance(measure, FirstBy) else None
        columns[measure.name] = sums.column(measure.name) if named is None else named
    part = part_of_groups(pa.table(columns), plan.by, plan.measures, _has)
    return merge_groups([part], plan.by, plan.measures, plan.order)


def _has(_column: str) -> bool:
    return True  # a column that the table lacks is already null in the sums


def _different(rows: pa.Table) -> tuple[list[_Texts], pa.Int64Array]:
    """Return the distinct rows, and for each row its index among them."""
    found: list[_Texts] = [()]
    places = pa.repeat(pa.scalar(0, pa.int64()), rows.num_rows)
    for column in rows.columns:
        texts, codes = _coded(column)
        # Column by column, so that the numbers stay small.
        both, places = _coded(pc.add(pc.multiply(places, len(texts)), codes))
        found = [(*found[code // len(texts)], texts[code % len(texts)]) for code in both]
    return found, places


def _coded(values: pa.ChunkedArray | pa.Array) -> tuple[list[Any], pa.Array]:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    coded = values.dictionary_encode(null_encoding="encode")
    return coded.dictionary.to_pylist(), coded.indices.cast(pa.int64())
