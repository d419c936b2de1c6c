"""Answers as JSON in the shapes of the CEEMS API: the keys, their order, and which empty values are left out."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.rest.columns import integer_pieces, join_rows, metric_pieces, number_text, object_pieces, text_pieces
from ceems_grpc.schema import Column, Kind, Type
from ceems_grpc.store.columnar.flatten import decode_list, decode_object
from ceems_grpc.store.columnar.json_texts import EMPTY_VALUES
from ceems_grpc.store.runtime.cancellation import check_cancelled

_encode = msgspec.json.encode
_objects_only = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EMPTY_TEXTS = {None, *EMPTY_VALUES}
_ROWS_BY_CELL = 256  # Arrow compiles expressions for each column, which takes longer than this many cells


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows of one kind are written. ``always``: keys that stay even if empty.

    ``same_keys``: each object of a metric has every key that the metric has in any row, 0 if the row has no value.
    """

    columns: tuple[Column, ...]
    always: frozenset[str]
    same_keys: bool = False


def with_new_columns(shape: Shape, columns: Iterable[Column]) -> Shape:
    """Return the shape with the columns that it lacks at its end, except derived columns."""
    known = {column.name for column in shape.columns}
    new = [column for column in columns if column.name not in known and column.kind is not Kind.DERIVED]
    return replace(shape, columns=(*shape.columns, *new)) if new else shape


def batch_json(batch: pa.RecordBatch, shape: Shape) -> bytes:
    """Write the rows of a batch whose JSON columns are the texts of the database, joined by commas."""
    names = set(batch.schema.names)
    columns = [
        _written(batch.column(column.name) if column.name in names else None, column, shape, batch.num_rows)
        for column in shape.columns
        if column.name in names or column.name in shape.always
    ]
    return join_rows(columns, batch.num_rows)


def _written(values: pa.Array | None, column: Column, shape: Shape, count: int) -> pa.Array:
    """Return the pieces of a column, which the rows may lack."""
    empty = (_prefix(column.name) + _nothing(column)).decode()
    if values is None:
        return pa.array([empty] * count, pa.string())
    pieces = _pieces(values, column, shape)
    return pc.fill_null(pieces, empty) if column.name in shape.always else pieces


def _pieces(values: pa.Array, column: Column, shape: Shape) -> pa.Array:
    found: pa.Array | None = None
    if len(values) <= _ROWS_BY_CELL:
        pass
    elif pa.types.is_integer(values.type):
        found = integer_pieces(column.name, values)
    elif column.kind is Kind.METRIC:
        found = metric_pieces(column.name, values)
    elif pa.types.is_string(values.type) and column.type not in {Type.OBJECT, Type.LIST}:
        found = text_pieces(column.name, values)
    if found is not None:
        return found
    fragments = _fragments(values.to_pylist(), column, shape)
    return pa.array([fragment.decode() or None for fragment in fragments], pa.string())


def table_json(table: pa.Table, shape: Shape) -> bytes:
    """Write the rows of a table with one column per key of a metric (``column.key``), joined by commas.

    Many rows take long: write them in a thread. Writing stops when its caller is cancelled.
    """
    keys = _keys(table, shape)
    if table.num_rows <= _ROWS_BY_CELL:
        return b",".join(_rows(table, shape, keys))
    names = set(table.column_names)
    columns: list[pa.Array] = []
    for column in shape.columns:
        check_cancelled()
        name = column.name
        if column.has_keys:
            if name in keys:
                columns.append(object_pieces(name, [(key, _numbers(table, name, key, shape)) for key in keys[name]]))
        elif name in names:
            columns.append(_written(_whole(table.column(name)), column, shape, table.num_rows))
        elif name in shape.always:
            columns.append(_written(None, column, shape, table.num_rows))
    return join_rows(columns, table.num_rows)


def _rows(table: pa.Table, shape: Shape, keys: dict[str, list[str]]) -> Iterator[bytes]:
    parts: list[Iterable[bytes]] = []
    names = set(table.column_names)
    for column in shape.columns:
        name = column.name
        if column.has_keys:
            if name in keys:
                parts.append(_objects(name, [(key, _values(table, name, key, shape)) for key in keys[name]]))
        elif name in names:
            parts.append(_fragments(table.column(name).to_pylist(), column, shape))
        elif name in shape.always:
            parts.append([_prefix(name) + _nothing(column)] * table.num_rows)
    for row in zip(*parts, strict=True):
        yield b"{" + b",".join(filter(None, row)) + b"}"


def _prefix(name: str) -> bytes:
    return _encode(name) + b":"


def _nothing(column: Column) -> bytes:
    if column.type is Type.LIST:
        return b"[]"
    return b"0" if column.type in {Type.INTEGER, Type.NUMBER} else b'""'


def _fragments(values: list[Any], column: Column, shape: Shape) -> Iterator[bytes]:
    """Yield ``"name":value`` for each row, or empty bytes if the value is empty and may be left out."""
    name = column.name
    prefix = _prefix(name)
    empty = prefix + _nothing(column) if name in shape.always else b""
    write = _writer(column)
    for value in values:
        if value is None or value in ("", 0):
            yield empty
            continue
        text = write(value)
        yield prefix + text if text else empty


def _writer(column: Column) -> Callable[[Any], bytes]:
    if column.kind is Kind.METRIC:
        return _metric
    if column.has_keys:
        return _object
    if column.type is Type.LIST:
        return _list
    return number_text if column.type is Type.NUMBER else _encode


def _metric(text: str) -> bytes:
    if text in _EMPTY_TEXTS:
        return b""
    values = decode_object(text, numeric=True)
    if not values:
        return b""
    return b"{" + b",".join(_encode(key) + b":" + number_text(value) for key, value in values.items()) + b"}"


def _object(text: str) -> bytes:
    if text in _EMPTY_TEXTS:
        return b""
    try:  # the text of an object is not changed
        return text.encode() if _objects_only.decode(text) else b""
    except msgspec.DecodeError:
        return _lenient_object(text)


def _lenient_object(text: str) -> bytes:
    """Write an object that a strict decoder refuses, for example for a NaN."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return b""
    if not values or not isinstance(values, dict):
        return b""
    try:
        return _encode(values)
    except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape, as the mirror keeps it
        return json.dumps(values, separators=(",", ":")).encode()


def _list(text: str) -> bytes:
    values = decode_list(text)
    return _encode(values) if values else b""


def _keys(table: pa.Table, shape: Shape) -> dict[str, list[str]]:
    """Return the keys that each column with keys has in any row."""
    keyed = {column.name for column in shape.columns if column.has_keys}
    keys: dict[str, list[str]] = {}
    for full_name, values in zip(table.column_names, table.columns, strict=True):
        name, dot, key = full_name.partition(".")
        if dot and name in keyed and values.null_count < len(values):
            keys.setdefault(name, []).append(key)
    return keys


def _values(table: pa.Table, name: str, key: str, shape: Shape) -> list[float | None]:
    found: list[float | None] = _numbers(table, name, key, shape).to_pylist()
    return found


def _numbers(table: pa.Table, name: str, key: str, shape: Shape) -> pa.Array:
    values = _whole(table.column(f"{name}.{key}"))
    return pc.fill_null(values, 0) if shape.same_keys else values


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _objects(name: str, keys: list[tuple[str, list[float | None]]]) -> Iterator[bytes]:
    prefix = _prefix(name)
    encoded = [(_encode(key) + b":", values) for key, values in keys]
    for row in range(len(keys[0][1])):
        inside = b",".join(key + number_text(value) for key, values in encoded if (value := values[row]) is not None)
        yield prefix + b"{" + inside + b"}" if inside else b""
