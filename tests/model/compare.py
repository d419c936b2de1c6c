"""Rules for the equality of two answers."""

import math
from typing import Any

import pyarrow as pa

from tests.model.data import METRICS, OBJECTS, Row
from tests.model.derived import DERIVED


def without_nothing(value: Any) -> Any:
    """Remove zeros, empty texts, objects and lists together with their keys: they mean the same as absent keys.

    Metric objects keep all their keys: a key with 0 differs from an absent key.
    """
    if isinstance(value, dict):
        small = {key: (item or None) if key in METRICS else without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in small.items() if item is not None} or None
    return None if value in (None, "", 0, {}, []) else value


def differences(ours: Any, theirs: Any, where: str = "", *, relative: float = 1e-6, absolute: float = 0.0) -> list[str]:
    """Return where two values differ; numbers are equal within a relative difference."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return [] if ours is theirs else [f"{where}: {ours!r} is not {theirs!r}"]
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        close = math.isclose(ours, theirs, rel_tol=relative, abs_tol=absolute)
        return [] if close else [f"{where}: {ours!r} is not {theirs!r}"]
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [f"{where}: keys {sorted(ours)} are not {sorted(theirs)}"] if ours.keys() != theirs.keys() else []
        for key in ours.keys() & theirs.keys():
            found += differences(ours[key], theirs[key], f"{where}.{key}", relative=relative, absolute=absolute)
        return found
    if isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return [f"{where}: {len(ours)} rows are not {len(theirs)}: {ours!r} / {theirs!r}"]
        return [
            line
            for index, (one, other) in enumerate(zip(ours, theirs, strict=True))
            for line in differences(one, other, f"{where}[{index}]", relative=relative, absolute=absolute)
        ]
    return [] if ours == theirs and type(ours) is type(theirs) else [f"{where}: {ours!r} is not {theirs!r}"]


def rows_of(table: pa.Table) -> list[Row]:
    """Return a table's rows, with its ``column.key`` columns combined into objects of the keys that have a value."""
    rows: list[Row] = [{} for _ in range(table.num_rows)]
    objects = {*OBJECTS, *DERIVED}
    for name, column in zip(table.column_names, table.columns, strict=True):
        head, _, key = name.partition(".")
        numbers = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for row, value in zip(rows, numbers.to_pylist(), strict=True):
            if head not in objects:
                row[name] = value
            elif value is not None:
                row.setdefault(head, {})[key] = value
    return rows


def model_rows(rows: list[Row], columns: tuple[str, ...]) -> list[Row]:
    """Return the model's rows with these columns, without empty objects."""
    return [
        {name: row[name] for name in columns if name in row and not (isinstance(row[name], dict) and not row[name])}
        for row in rows
    ]
