"""Converts the rows of frames to the form of the API's rows."""

from collections.abc import Collection
from typing import Any

import pyarrow as pa


def frame_rows(table: pa.Table, metrics: Collection[str], *, same_keys: bool) -> list[dict[str, Any]]:
    """Return the rows of a frame; the fields ``metric.key`` become objects.

    The key of a null value is left out. With ``same_keys``, it becomes 0 if any row has a value,
    as the API writes usage/current.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(table.num_rows)]
    for name, column in zip(table.column_names, table.columns, strict=True):
        metric, _, key = name.partition(".")
        if not key or metric not in metrics:
            for row, value in zip(rows, column.to_pylist(), strict=True):
                row[name] = value
        elif column.null_count < len(column):
            for row, value in zip(rows, column.to_pylist(), strict=True):
                if value is not None or same_keys:
                    row.setdefault(metric, {})[key] = value or 0
    return rows
