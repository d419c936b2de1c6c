"""Sorting of answers by any of their fields, including derived ones."""

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.model import OrderBy


def sort_table(table: pa.Table, order: tuple[OrderBy, ...], by: pa.Table | None = None) -> pa.Table:
    """Sort a table by its fields, rows without a value last. A metric without a key means its first key.

    ``by``: the same rows with other values to compare, if the values of the table do not sort as intended.
    """
    directions: dict[str, str] = {}
    for item in order:
        name = _column(table, item.field)
        if name is not None:
            directions.setdefault(name, "descending" if item.descending else "ascending")
    if not directions:
        return table
    compared = table if by is None else by
    keys = pa.table({str(number): compared.column(name) for number, name in enumerate(directions)})
    by = [(str(number), direction) for number, direction in enumerate(directions.values())]
    return table.take(pc.sort_indices(keys, by))  # a stable sort, nulls last


def check_order(order: tuple[OrderBy, ...], columns: frozenset[str]) -> None:
    """Raise an error for an order by a column that this kind of answer does not have."""
    for item in order:
        if item.column not in columns and item.field not in columns:
            raise bad_data(f"cannot order by '{item.field}': there is no such field here")


def _column(table: pa.Table, field: str) -> str | None:
    names = table.column_names
    if field in names:
        return field
    return next((name for name in names if name.startswith(field + ".")), None)
