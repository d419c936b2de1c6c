"""Sorting of answers by any of their fields, including derived ones."""

import pyarrow as pa

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.model import OrderBy


def sort_table(table: pa.Table, order: tuple[OrderBy, ...]) -> pa.Table:
    """Sort a table by its fields, rows without a value last. A metric without a key stands for its first key."""
    for item in reversed(order):  # stable sorts, the last criterion first
        name = _column(table, item.field)
        if name is None:
            continue
        direction = "descending" if item.descending else "ascending"
        positions = pa.array(range(table.num_rows), pa.int64())
        keyed = pa.table({"value": table.column(name), "position": positions})
        sorted_ = keyed.sort_by([("value", direction), ("position", "ascending")])
        table = table.take(sorted_.column("position"))
    return table


def check_order(order: tuple[OrderBy, ...], columns: frozenset[str]) -> None:
    """Raise an error for an order by a column that this kind of answer does not have."""
    for item in order:
        if item.column not in columns:
            raise bad_data(f"cannot order by '{item.field}': there is no such field here")


def _column(table: pa.Table, field: str) -> str | None:
    names = table.column_names
    if field in names:
        return field
    return next((name for name in names if name.startswith(field + ".")), None)
