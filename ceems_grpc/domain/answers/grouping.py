"""Sums by values that only units have, such as tags and classes of job size.

A store sums by the column that holds the values. This module maps each distinct text of the column to its group and
adds up the sums of each group. So every store has the same groups.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.answers.group_labels import labels_of, rank
from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.groups import ValueGroup
from ceems_grpc.domain.questions.limits import MOST_CELLS
from ceems_grpc.schema import Column as Described
from ceems_grpc.schema import Kind, Table
from ceems_grpc.store.columnar.group_merge import merge_groups, nulls_first, part_measures, part_of_groups
from ceems_grpc.store.plan import Aggregate, Condition, Count, Distinct, Histogram, Order, Spread
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import check_cancelled, run_cancellable

_ROWS_AT_ONCE = 4_096  # Arrow holds the interpreter lock while it makes Python objects
_UNITS = "units"
TEXTS = "#texts"


def described(groups: Iterable[ValueGroup]) -> dict[str, Described]:
    """Return the columns that show the groups in an answer."""
    return {group.name: Described(group.name, Kind.IDENTITY, _description(group)) for group in groups}


async def aggregate(reader: Reader, plan: Aggregate, groups: Sequence[ValueGroup]) -> pa.Table:
    """Return the answer of an aggregation whose ``by`` also names the groups."""
    if not groups:
        return await reader.aggregate(plan)
    by = _columns(plan.by, groups)
    measures = part_measures(plan.measures, _has)
    await _check_size(reader, by, plan.where, len(by) + len(measures))
    rows = await reader.aggregate(msgspec.structs.replace(plan, by=by, measures=measures, order=()))
    return await run_cancellable(lambda: _ordered(_merged(rows, plan, plan.by, groups), plan.order, groups))


async def spread(reader: Reader, plan: Spread, groups: Sequence[ValueGroup]) -> pa.Table:
    """Return the answer of a spread whose ``by`` also names the groups."""
    if not groups:
        return await reader.spread(plan)
    by = _columns(plan.by, groups)
    measures = part_measures(plan.measures, _has)
    await _check_size(reader, by, plan.where, len(by) + len(measures))
    rows = await reader.spread(msgspec.structs.replace(plan, by=by, measures=measures))
    keys = (*plan.by, "step")

    def finish() -> pa.Table:
        table = _merged(rows, plan, keys, groups)
        names = [name for name in ranked(table, groups).column_names if name in keys]
        places = pa.table({name: ranked(table, groups).column(name) for name in names})
        places = places.append_column("#row", pa.array(range(table.num_rows), pa.int64()))
        return table.take(nulls_first(places, keys).column("#row"))

    return await run_cancellable(finish)


async def histogram(reader: Reader, plan: Histogram, groups: Sequence[ValueGroup], texts: str = "") -> pa.Table:
    """Return counts by the keys of a plan whose ``by`` also names the groups. A group may have several rows.

    ``texts``: a column by whose texts the rows are counted too; it is the column `TEXTS` of the answer.
    """
    by = _columns((*plan.by, texts) if texts else plan.by, groups)
    await _check_buckets(reader, msgspec.structs.replace(plan, by=by))
    rows = await reader.histogram(msgspec.structs.replace(plan, by=by))

    def finish() -> pa.Table:
        held = {group.column for group in groups}
        kept = [name for name in rows.column_names if name not in held and (name != texts or name in plan.by)]
        columns = {name: rows.column(name) for name in kept}
        for column in held:
            columns |= _labelled(rows.column(column), [group for group in groups if group.column == column])
        if texts:
            columns[TEXTS] = rows.column(texts)
        return pa.table(columns)

    return await run_cancellable(finish)


def ranked(table: pa.Table, groups: Iterable[ValueGroup]) -> pa.Table:
    """Return a table in which numbers that sort like the classes replace the labels of classes."""
    for group in groups:
        if group.bounds is not None and group.name in table.column_names:
            labels = table.column(group.name)
            known = sorted((label for label in pc.unique(labels).to_pylist() if label is not None), key=rank)
            ranks = pc.index_in(labels, pa.array(known, pa.string()))
            table = table.set_column(table.column_names.index(group.name), group.name, ranks)
    return table


def notices(table: pa.Table, groups: Iterable[ValueGroup]) -> tuple[str, ...]:
    """Return a sentence for each group for which no row has a value."""
    rows = table.num_rows
    empty = [group.name for group in groups if rows and table.column(group.name).null_count == rows]
    return tuple(f"No unit here has a value for '{name[:50]}'." for name in empty)


def _description(group: ValueGroup) -> str:
    if group.key is None:
        return f"{group.name.capitalize()} of the units"
    what = "Tag" if group.column == "tags" else "Allocation"
    return f"{what} of the units: {group.key}" + ("" if group.bounds is None else ", in classes")


def _columns(by: Sequence[str], groups: Iterable[ValueGroup]) -> tuple[str, ...]:
    """Return the columns of the table that determine the groups."""
    column_of = {group.name: group.column for group in groups}
    return tuple(dict.fromkeys(column_of.get(name, name) for name in by))


async def _check_size(reader: Reader, by: tuple[str, ...], where: Condition, columns: int) -> None:
    """Raise a bad_data error for sums of too many cells, because nearly every unit can have tags of its own."""
    most = MOST_CELLS // columns
    counted = await reader.aggregate(Aggregate(Table.UNITS, (), (Count(_UNITS),), where))
    if counted.column(_UNITS)[0].as_py() <= most:
        return
    different = await reader.distinct(Distinct(Table.UNITS, by, where, limit=most + 1))
    if different.num_rows > most:
        raise bad_data(
            f"the units have more than {most} different values of {', '.join(by)}; at most {MOST_CELLS} cells of "
            f"{columns} columns can be summed: choose fewer fields, a shorter time range, or fewer clusters"
        )


async def _check_buckets(reader: Reader, plan: Histogram) -> None:
    """Raise a bad_data error for counts of too many cells: groups times steps times buckets."""
    columns = len(plan.by) + 3
    most = MOST_CELLS // columns
    counted = await reader.aggregate(Aggregate(Table.UNITS, (), (Count(_UNITS),), plan.where))
    if counted.column(_UNITS)[0].as_py() <= most:  # there are at most as many counts as units
        return
    places = max(len(plan.starts), 1) * (len(plan.bounds) + 1)
    groups = most // places
    different = await reader.distinct(Distinct(Table.UNITS, plan.by, plan.where, limit=groups + 1)) if plan.by else None
    found = 1 if different is None else different.num_rows
    if found > groups:
        raise bad_data(
            f"the counts would have more than {MOST_CELLS} cells ({found} groups or more, {max(len(plan.starts), 1)}"
            f" steps, {len(plan.bounds) + 1} buckets): choose fewer groups or bounds, a longer step, or a shorter time"
            " range"
        )


def _merged(rows: pa.Table, plan: Aggregate | Spread, keys: Sequence[str], groups: Sequence[ValueGroup]) -> pa.Table:
    held = {group.column for group in groups}
    columns: dict[str, pa.ChunkedArray] = {}
    for column in held:
        of_column = [group for group in groups if group.column == column]
        columns |= _labelled(rows.column(column), of_column)
    kept = {name: rows.column(name) for name in rows.column_names if name not in held}
    part = part_of_groups(pa.table(kept | columns), keys, plan.measures, _has)
    return merge_groups([part], keys, plan.measures, ())


def _labelled(texts: pa.ChunkedArray, groups: Sequence[ValueGroup]) -> Mapping[str, pa.Array]:
    coded = pa.chunked_array(texts).combine_chunks() if isinstance(texts, list) else texts.combine_chunks()
    if isinstance(coded, pa.ChunkedArray):
        coded = pa.concat_arrays(coded.chunks) if coded.num_chunks else pa.array([], pa.string())
    coded = coded.dictionary_encode(null_encoding="encode")
    pieces: list[list[pa.Array]] = [[] for _ in groups]
    for start in range(0, len(coded.dictionary), _ROWS_AT_ONCE):
        check_cancelled()
        labels = labels_of(coded.dictionary.slice(start, _ROWS_AT_ONCE).to_pylist(), groups)
        for piece, of_group in zip(pieces, labels, strict=True):
            piece.append(pa.array(of_group, pa.string()))
    return {
        group.name: (pa.concat_arrays(piece) if piece else pa.array([], pa.string())).take(coded.indices)
        for group, piece in zip(groups, pieces, strict=True)
    }


def _ordered(table: pa.Table, order: Sequence[Order], groups: Sequence[ValueGroup]) -> pa.Table:
    wanted = [(str(item.operand), "descending" if item.descending else "ascending") for item in order]
    known = [pair for pair in wanted if pair[0] in table.column_names]
    return table.take(pc.sort_indices(ranked(table, groups), known)) if known else table


def _has(_column: str) -> bool:
    return True  # the store has added null for what a source lacks
