"""Batches of rows that a feeder compares with the stored ones."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.columnar.layout import ROW

ROWS_AT_ONCE = 20_000  # rows that are compared and copied together


def are_ascending(ids: pa.ChunkedArray) -> bool:
    """Return whether the ids are in ascending order, each once."""
    values = ids.combine_chunks()
    return len(values) < 2 or bool(pc.all(pc.less(values[:-1], values[1:])).as_py())


def regroup(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut and join batches to the size in which rows are compared and copied."""
    waiting: list[pa.Table] = []
    for table in tables:
        for start in range(0, table.num_rows, ROWS_AT_ONCE):
            waiting.append(table.slice(start, ROWS_AT_ONCE))
            if sum(part.num_rows for part in waiting) >= ROWS_AT_ONCE:
                yield pa.concat_tables(waiting, promote_options="default")
                waiting = []
    if waiting:
        yield pa.concat_tables(waiting, promote_options="default")


def reused_ids(identity: Sequence[str], old: pa.Table, new: pa.Table) -> set[int]:
    """Return the row ids that the file now uses for another unit, user or project than before."""
    if any(name not in new.column_names for name in identity):
        return set()
    before, after = (
        dict(
            zip(
                rows.column(ROW).to_pylist(),
                zip(*(rows.column(name).to_pylist() for name in identity), strict=True),
                strict=True,
            )
        )
        for rows in (old, new)
    )
    return {row for row, thing in after.items() if row in before and before[row] != thing}
