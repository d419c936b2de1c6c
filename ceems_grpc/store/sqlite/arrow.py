"""Rows of SQLite as Arrow. A column of SQLite holds what was written to it, whatever its declared type."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ceems_grpc.store.columnar.assemble import type_of
from ceems_grpc.store.columnar.flatten import flatten
from ceems_grpc.store.plan import AllKeys, Scan
from ceems_grpc.store.runtime.cancellation import until_cancelled


def batch_of(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Return rows as columns of the schema's types."""
    columns: list[tuple[Any, ...]] = list(zip(*rows, strict=True)) if rows else [() for _ in schema]
    return pa.RecordBatch.from_arrays(
        [_column(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )


def _column(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([_coerce(value, type_) for value in values], type_)


def _coerce(value: object, type_: pa.DataType) -> object:
    if value is None:
        return None
    if pa.types.is_string(type_):
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    try:
        number = float(value)  # type: ignore[arg-type]
        return number if pa.types.is_floating(type_) else int(number)
    except (TypeError, ValueError, OverflowError):
        return None


def flat_table(scan: Scan, rows: list[tuple[Any, ...]]) -> pa.Table:
    """Return the answer of a scan. JSON columns become one column per key if `AllKeys` asks for it."""
    arrays: dict[str, pa.Array] = {}
    for index, column in enumerate(scan.columns):
        values = [row[index] for row in until_cancelled(rows)]
        if isinstance(column, AllKeys):
            for key, array in flatten(values, numeric=column.numeric, nested=column.nested).items():
                arrays[f"{column.column}.{key}"] = array
        else:
            arrays[column] = _column(values, type_of(column))
    return pa.table(arrays)
