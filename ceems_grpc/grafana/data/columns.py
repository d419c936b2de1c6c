"""Turns any Arrow column into one of the few types that Grafana reads.

grafana-plugin-sdk-go (data/arrow.go) knows bool, int8 to int64, uint8 to uint64, float32, float64, utf8, timestamp in
nanoseconds, binary (JSON text) and uint16 as enum; any other type fails the whole frame there, dictionaries included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = pa.Array | pa.ChunkedArray

TIMESTAMP = pa.timestamp("ns")
_NESTED_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type of Grafana: `simple` as its frontend calls it, `item` as its Go SDK calls it."""

    simple: str
    item: str


@dataclass(frozen=True, slots=True)
class SentColumn:
    """A column as it is sent: one contiguous array of a type that Grafana reads."""

    array: pa.Array
    type: ColumnType
    nullable: bool


ENUM = ColumnType("enum", "enum")

_TYPES: dict[pa.DataType, ColumnType] = {
    pa.bool_(): ColumnType("boolean", "bool"),
    pa.float32(): ColumnType("number", "float32"),
    pa.float64(): ColumnType("number", "float64"),
    pa.string(): ColumnType("string", "string"),
    TIMESTAMP: ColumnType("time", "time.Time"),
    pa.binary(): ColumnType("other", "json.RawMessage"),
    **{
        arrow_type: ColumnType("number", str(arrow_type))
        for arrow_type in (
            *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
            *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        )
    },
}


def column_type(column: pa.Array, *, enum: bool) -> ColumnType:
    """Return Grafana's type of a column that `grafana_column` made."""
    return ENUM if enum else _TYPES[column.type]


def grafana_column(name: str, data: Column, *, enum: bool = False) -> pa.Array:
    """Return `data` as one contiguous array of a type that Grafana reads, without a copy if it is one already.

    | Arrow                                 | becomes                                                      |
    |---------------------------------------|--------------------------------------------------------------|
    | timestamp of any unit or zone, dates  | timestamp[ns] in UTC (a time without a zone is taken as UTC) |
    | large and view strings                | utf8                                                         |
    | dictionary, run-end encoded           | its values                                                   |
    | decimal, float16                      | float64, float32                                             |
    | binary of any layout, Arrow's JSON    | JSON: every cell must hold JSON text                         |
    | list, struct, map                     | JSON: written cell by cell, as Arrow has no kernel for it    |
    | null                                  | utf8, all null                                               |

    NaN stays NaN and null stays null. With `enum` the values must be whole numbers from 0 to 65535. `name` is for
    errors. Raises TypeError for other types (time of day, duration, union, ...) and ValueError for values that do not
    fit: times outside the years 1677 to 2262, keys that a map has twice, more than 2 GB of text.
    """
    try:
        converted = _as_enum(data) if enum else _convert(data)
        return _one_array(converted)
    except TypeError as error:
        raise TypeError(f"field {name!r}: {error}") from error
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"field {name!r} of type {data.type} cannot be sent to Grafana: {error}") from error


def _one_array(data: Column) -> pa.Array:
    """Return one contiguous array, because some of Grafana's readers read only one record batch per file."""
    if isinstance(data, pa.Array):
        return data
    if data.num_chunks == 1:
        return data.chunk(0)
    return pa.concat_arrays(data.chunks) if data.num_chunks else pa.array([], data.type)


def _as_enum(data: Column) -> Column:
    if not pa.types.is_integer(data.type):
        raise TypeError(f"an enum needs whole numbers (indexes into its texts), not {data.type}")
    return data.cast(pa.uint16())


def _convert(data: Column) -> Column:
    if data.type in _TYPES:
        return data
    for matches, convert in _CONVERSIONS:
        if matches(data.type):
            return convert(data)
    raise TypeError(f"Grafana has no type for {data.type}; cast the column to a number, text or timestamp first")


def _chunkwise(convert: Callable[[pa.Array], pa.Array], result: pa.DataType) -> Callable[[Column], Column]:
    """Make a conversion of arrays work on chunked arrays too; `result` is the type when there is no chunk."""

    def on_column(data: Column) -> Column:
        if isinstance(data, pa.Array):
            return convert(data)
        return pa.chunked_array([convert(chunk) for chunk in data.chunks], type=result)

    return on_column


def _cast(target: pa.DataType) -> Callable[[Column], Column]:
    return lambda data: data.cast(target)


def _timestamp(array: pa.Array) -> pa.Array:
    # The zone is only a label: the stored numbers are UTC in any case, so viewing them without it copies nothing.
    return array.cast(pa.timestamp("ns", array.type.tz)).view(TIMESTAMP)


def _decimal(array: pa.Array) -> pa.Array:
    # By way of text, because Arrow's own cast misses the nearest float at times (0.35 becomes 0.35000000000000003).
    return array.cast(pa.string()).cast(pa.float64())


def _nested(array: pa.Array) -> pa.Array:
    try:
        cells = array.to_pylist(maps_as_pydicts="strict")
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    return pa.array([None if cell is None else _NESTED_ENCODER.encode(cell) for cell in cells], pa.binary())


def _is_other_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_other_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_json(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.json"


def _storage(data: Column) -> Column:
    return _convert(data.cast(data.type.storage_type)).cast(pa.binary())


_LISTS = (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.ListViewType, pa.LargeListViewType)


def _is_list(kind: pa.DataType) -> bool:
    return isinstance(kind, _LISTS)


_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Column], Column]], ...] = (
    (pa.types.is_timestamp, _chunkwise(_timestamp, TIMESTAMP)),
    (pa.types.is_date, _cast(TIMESTAMP)),
    (_is_other_text, _cast(pa.string())),
    (pa.types.is_dictionary, lambda data: _convert(data.cast(data.type.value_type))),
    (pa.types.is_run_end_encoded, lambda data: _convert(pc.run_end_decode(data))),
    (pa.types.is_decimal, _chunkwise(_decimal, pa.float64())),
    (pa.types.is_float16, _cast(pa.float32())),
    (pa.types.is_null, _cast(pa.string())),
    (_is_other_binary, _cast(pa.binary())),
    (_is_json, _storage),
    (_is_list, _chunkwise(_nested, pa.binary())),
    (pa.types.is_struct, _chunkwise(_nested, pa.binary())),
    (pa.types.is_map, _chunkwise(_nested, pa.binary())),
)
