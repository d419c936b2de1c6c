"""Merges the sorted rows of several sources into one sorted sequence.

Each source also returns the columns that are needed only to sort.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.schema import ADMINISTERED
from ceems_grpc.store.columnar.assemble import put_together, type_of
from ceems_grpc.store.columnar.flatten import decode_object
from ceems_grpc.store.columnar.json_paths import value_at
from ceems_grpc.store.columnar.values import numbers_of_texts
from ceems_grpc.store.merged.concurrent import run_all
from ceems_grpc.store.plan import AllKeys, Condition, Key, Order, Scan, Table
from ceems_grpc.store.runtime.cancellation import run_cancellable

Has = Callable[[str], bool]

_Result = TypeVar("_Result")

_ROWS_AT_ONCE = 500  # a thread works on more of them: others would have to wait
_SOURCE = "#source"
_KIND, _NUMBER, _TEXT = "#kind", "#number", "#text"  # sort keys of values that can be numbers or texts


class RowMerge:
    """Derives the scan for each source from a scan, and merges the rows into its answer."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self._plain = [column for column in scan.columns if isinstance(column, str)]
        self._plain += [column.column for column in scan.columns if isinstance(column, AllKeys) and not column.numeric]
        self._keyed = {column.column for column in scan.columns if isinstance(column, AllKeys) and column.numeric}
        keyed = dict.fromkeys(self._keyed)
        for item in scan.order:
            if isinstance(item.operand, str):
                self._plain.append(item.operand)
            elif item.numeric:
                keyed[item.operand.column] = None
            else:
                self._plain.append(item.operand.column)
        self._plain = list(dict.fromkeys(self._plain))
        self._all_keys = tuple(keyed)

    def source_scan(self, has: Has, where: Condition) -> Scan:
        """Return the scan for a source, which has some columns; ``where`` is the condition adapted to it."""
        columns: list[str | AllKeys] = [name for name in self._plain if has(name)]
        columns += [AllKeys(name) for name in self._all_keys if has(name)]
        order = [item for item in self.scan.order if has(_column_of(item))]
        # A table without columns has no rows.
        return Scan(self.scan.table, tuple(columns) or ("id",), where, tuple(order), self.scan.limit)

    def aligned(self, rows: pa.Table, fill: Mapping[str, str]) -> pa.Table:
        """Return the rows of a source with all plain columns.

        A column that the source lacks holds its value in ``fill`` in every row, or null.
        """
        columns: dict[str, pa.ChunkedArray] = {}
        for name in self._plain:
            if name in rows.column_names:
                columns[name] = rows.column(name)
            elif name in fill:
                columns[name] = pa.chunked_array([pa.repeat(fill[name], rows.num_rows)])
            else:
                columns[name] = pa.chunked_array([pa.nulls(rows.num_rows, type_of(name))])
        for name in rows.column_names:
            if name not in columns and "." in name:
                columns[name] = rows.column(name)
        if not columns:
            columns["id"] = rows.column(0)
        return pa.table(columns)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Return the answer: the merged rows of all sources, which must be aligned."""
        rows = pa.concat_tables(tables, promote_options="default")
        if len(tables) > 1 and self.scan.table is Table.ADMIN_USERS:
            rows = _without_duplicates(rows)
        if len(tables) > 1:
            rows = self._sorted(rows)
        if self.scan.limit is not None and self.scan.limit >= 0:
            rows = rows.slice(0, self.scan.limit)
        names: list[str] = []
        kept: list[str] = []
        for column in self.scan.columns:
            if isinstance(column, AllKeys) and column.numeric:
                found = sorted(name for name in rows.column_names if name.startswith(f"{column.column}."))
                kept += found
                names += found
            else:
                name = column if isinstance(column, str) else column.column
                kept.append(name)
                names.append(name)
        return put_together(self.scan, names, rows.select(kept))

    async def stream(
        self, sources: Sequence[Callable[[], Awaitable[pa.Table | None]]]
    ) -> AsyncIterator[pa.RecordBatch]:
        """Yield the answer in batches. Each source returns its next aligned rows, or None at its end.

        At most one batch of each source is in memory.
        """
        schema = pa.schema([(name, type_of(name)) for name in self.scan.columns if isinstance(name, str)])
        left = self.scan.limit if self.scan.limit is not None and self.scan.limit >= 0 else None
        empty = True
        async for rows in self._interleaved(sources):
            if left is not None:
                rows = rows.slice(0, left)  # noqa: PLW2901 - cut to the limit
                left -= rows.num_rows
            for batch in await in_thread(rows.num_rows, partial(_batches, rows, schema)):
                if batch.num_rows:
                    empty = False
                    yield batch
            if left == 0:
                break
        if empty:
            yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)

    async def _interleaved(
        self, sources: Sequence[Callable[[], Awaitable[pa.Table | None]]]
    ) -> AsyncIterator[pa.Table]:
        held: dict[int, pa.Table] = {}
        open_ = set(range(len(sources)))
        while True:
            hungry = [index for index in sorted(open_) if index not in held]
            for index, rows in zip(hungry, await run_all(sources[i]() for i in hungry), strict=True):
                if rows is None:
                    open_.discard(index)
                elif rows.num_rows:
                    held[index] = rows
            if any(index not in held for index in open_):
                continue  # a source returned an empty batch
            if not held:
                return
            if len(held) == 1:
                yield held.popitem()[1]
                continue
            held_rows = sum(rows.num_rows for rows in held.values())
            final, held = await in_thread(held_rows, partial(self._final, dict(held), frozenset(open_)))
            yield final

    def _final(self, held: Mapping[int, pa.Table], open_: Collection[int]) -> tuple[pa.Table, dict[int, pa.Table]]:
        """Return the sorted rows that nothing can come before any more, and the other rows of each source."""
        numbered = [
            rows.append_column(_SOURCE, pa.repeat(pa.scalar(index, pa.int32()), rows.num_rows))
            for index, rows in held.items()
        ]
        rows = self._sorted(pa.concat_tables(numbered, promote_options="default"))
        # A source may return more rows. Rows after its last row here are therefore not final.
        end = min((_last(rows, index) + 1 for index in open_), default=rows.num_rows)
        rest = rows.slice(end)
        left = {index: rest.filter(pc.equal(rest.column(_SOURCE), index)).drop_columns([_SOURCE]) for index in held}
        return rows.slice(0, end).drop_columns([_SOURCE]), {
            index: some for index, some in left.items() if some.num_rows
        }

    def _sorted(self, rows: pa.Table) -> pa.Table:
        """Sort as SQLite does: numbers before texts, nulls last."""
        by: list[tuple[str, str]] = []
        columns: dict[str, pa.ChunkedArray | pa.Array] = {}
        for number, item in enumerate(self.scan.order):
            direction = "descending" if item.descending else "ascending"
            for name, values in _values(rows, item).items():
                columns[f"{name}{number}"] = values
                by.append((f"{name}{number}", direction))
        if not by:
            return rows
        return rows.take(pc.sort_indices(pa.table(columns), by))


async def in_thread(rows: int, work: Callable[[], _Result]) -> _Result:
    """Return the result of work on this many rows. A thread does work that takes long."""
    return work() if rows <= _ROWS_AT_ONCE else await run_cancellable(work)


def _batches(rows: pa.Table, schema: pa.Schema) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = rows.select(schema.names).cast(schema).to_batches()
    return found


def _without_duplicates(rows: pa.Table) -> pa.Table:
    """Drop duplicate rows: an administrator of several sites is listed once."""
    names = [name for name in rows.column_names if name not in {"id", ADMINISTERED}]
    numbered = rows.append_column(_SOURCE, pa.array(range(rows.num_rows), pa.int64()))
    first = numbered.group_by(names, use_threads=False).aggregate([(_SOURCE, "min")]).column(f"{_SOURCE}_min")
    return rows.take(first.take(pc.sort_indices(first)))


def _values(rows: pa.Table, item: Order) -> dict[str, pa.ChunkedArray | pa.Array]:
    operand = item.operand
    if isinstance(operand, str):
        column = rows.column(operand)
        return {_NUMBER: numbers_of_texts(column)} if item.numeric else {_TEXT: column}
    if item.numeric:
        there = str(operand) in rows.column_names
        return {_NUMBER: rows.column(str(operand)) if there else pa.nulls(rows.num_rows, pa.float64())}
    kinds: list[int | None] = []
    numbers: list[float | None] = []
    texts: list[str | None] = []
    for value in _found(rows.column(operand.column), operand):
        kinds.append(None if value is None else int(isinstance(value, str)))
        numbers.append(float(value) if isinstance(value, int | float) else None)
        texts.append(value if isinstance(value, str) else None)
    return {
        _KIND: pa.array(kinds, pa.int8()),
        _NUMBER: pa.array(numbers, pa.float64()),
        _TEXT: pa.array(texts, pa.string()),
    }


def _found(texts: pa.ChunkedArray, key: Key) -> list[float | str | None]:
    """Return the value of the key in each JSON text. Equal texts are decoded once."""
    known: dict[str | None, float | str | None] = {None: None}
    found = []
    for text in texts.to_pylist():
        if text not in known:
            value = value_at(decode_object(text, numeric=False), key.name)
            plain = value is None or isinstance(value, int | float | str)
            known[text] = value if plain else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        found.append(known[text])
    return found


def _column_of(item: Order) -> str:
    return item.operand if isinstance(item.operand, str) else item.operand.column


def _last(rows: pa.Table, index: int) -> int:
    places = pc.indices_nonzero(pc.equal(rows.column(_SOURCE), index))
    return int(places[len(places) - 1].as_py())
