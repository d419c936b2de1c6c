"""Answers as JSON, in the shapes of the CEEMS API: which keys, in which order, and what is left out when empty."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from ceems_grpc.ceems.metrics import Column, Kind
from ceems_grpc.store.flatten import decode_list, decode_object

_encode = msgspec.json.encode
_EMPTY_TEXTS = {None, "", "{}", "[]", "null"}


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows of one kind are written. ``always``: keys that are there even when empty; ``lists``: JSON arrays."""

    columns: tuple[Column, ...]
    always: frozenset[str]
    numbers: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()


def rows_of_batch(batch: pa.RecordBatch, shape: Shape) -> Iterator[bytes]:
    """Write the rows of a batch whose JSON columns are the texts of the database."""
    parts: list[Iterable[bytes]] = []
    names = set(batch.schema.names)
    for column in shape.columns:
        name = column.name
        if name not in names:
            if name in shape.always:
                parts.append([_prefix(name) + _nothing(name, shape)] * batch.num_rows)
            continue
        parts.append(_fragments(batch.column(name).to_pylist(), column, shape))
    for row in zip(*parts, strict=True):
        yield b"{" + b",".join(filter(None, row)) + b"}"


def rows_of_table(table: pa.Table, shape: Shape) -> Iterator[bytes]:
    """Write the rows of a table whose metrics are taken apart (``column.key``)."""
    parts: list[Iterable[bytes]] = []
    names = table.column_names
    for column in shape.columns:
        name = column.name
        if column.has_keys:
            keys = [n for n in names if n.startswith(name + ".")]
            if keys:
                parts.append(_objects(name, [(n[len(name) + 1 :], table.column(n).to_pylist()) for n in keys]))
        elif name in names:
            parts.append(_fragments(table.column(name).to_pylist(), column, shape))
        elif name in shape.always:
            parts.append([_prefix(name) + _nothing(name, shape)] * table.num_rows)
    for row in zip(*parts, strict=True):
        yield b"{" + b",".join(filter(None, row)) + b"}"


def number(value: float) -> bytes:
    """Write a number as the API does: whole numbers as integers, others with 8 decimals, what is not finite as 0.

    Trailing zeros are not written; they mean the same number.
    """
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN differs from itself
        return b"0"
    if value == int(value):
        return b"%d" % int(value)
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return b"0" if text == "-0" else text.encode()


def _prefix(name: str) -> bytes:
    return _encode(name) + b":"


def _nothing(name: str, shape: Shape) -> bytes:
    if name in shape.lists:
        return b"[]"
    return b"0" if name in shape.numbers else b'""'


def _fragments(values: list[Any], column: Column, shape: Shape) -> Iterator[bytes]:
    """Yield ``"name":value`` for each row, or nothing where the value is empty and need not be there."""
    name = column.name
    prefix = _prefix(name)
    empty = prefix + _nothing(name, shape) if name in shape.always else b""
    write = _writer(column, shape)
    for value in values:
        if value is None or value in ("", 0):
            yield empty
            continue
        text = write(value)
        yield prefix + text if text else empty


def _writer(column: Column, shape: Shape) -> Callable[[Any], bytes]:
    if column.kind is Kind.METRIC:
        return _metric
    if column.has_keys:
        return _object
    if column.name in shape.lists:
        return _list
    return _encode


def _metric(text: str) -> bytes:
    if text in _EMPTY_TEXTS:
        return b""
    values = decode_object(text, numeric=True)
    if not values:
        return b""
    return b"{" + b",".join(_encode(key) + b":" + number(value) for key, value in values.items()) + b"}"


def _object(text: str) -> bytes:
    if text in _EMPTY_TEXTS:
        return b""
    values = decode_object(text, numeric=False)
    return _encode(values) if values else b""


def _list(text: str) -> bytes:
    values = decode_list(text)
    return _encode(values) if values else b""


def _objects(name: str, keys: list[tuple[str, list[float | None]]]) -> Iterator[bytes]:
    prefix = _prefix(name)
    encoded = [(_encode(key) + b":", values) for key, values in keys]
    for row in range(len(keys[0][1])):
        inside = b",".join(key + number(value) for key, values in encoded if (value := values[row]) is not None)
        yield prefix + b"{" + inside + b"}" if inside else b""
