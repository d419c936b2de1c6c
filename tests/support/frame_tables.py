"""Random frames with all types that Grafana reads, and their cells in a form that can be compared exactly."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from ceems_grpc.grafana import EnumConfig, Field, FieldConfig, Frame, TypeConfig

# JSON times are whole milliseconds, and Grafana's reader multiplies them: the last one that fits in 64 bits.
_FIRST_TIME, _LAST_TIME = -9223372036854000000, 9223372036854775807

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)

CELLS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    **{
        kind: st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())
    },
    **{kind: st.integers(0, 2**kind.bit_width - 1) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.string(): st.text(max_size=12),
    pa.timestamp("ns"): st.integers(_FIRST_TIME, _LAST_TIME),
    pa.binary(): _JSON.map(lambda value: json.dumps(value).encode()),
}

_NAMES = st.text(max_size=8)
_LABELS = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3)
_ENUM = FieldConfig(type=TypeConfig(EnumConfig(["a", "b"])))


@st.composite
def columns(draw: st.DrawFn, rows: int) -> tuple[pa.ChunkedArray, FieldConfig | None]:
    """Draw a column of a given length, in up to three chunks, and the config that makes some columns enums."""
    kind = draw(st.sampled_from(list(CELLS)))
    cells = CELLS[kind]
    if draw(st.booleans()):
        cells = st.none() | cells
    array = pa.array(draw(st.lists(cells, min_size=rows, max_size=rows)), kind)
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=2)))
    chunks = [array.slice(start, end - start) for start, end in zip([0, *cuts], [*cuts, rows], strict=True)]
    config = _ENUM if kind == pa.uint16() and draw(st.booleans()) else None
    return pa.chunked_array(chunks, kind), config


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Draw a frame of 0 to 4 fields and 0 to 6 rows; names may be empty or equal."""
    rows = draw(st.integers(0, 6))
    fields = []
    for data, config in draw(st.lists(columns(rows), max_size=4)):
        fields.append(Field(draw(_NAMES), data, draw(_LABELS), config, draw(st.sampled_from([None, True]))))
    return Frame(draw(_NAMES), fields, ref_id=draw(_NAMES))


def exact_cells(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return the cells as `exact` does: times as nanoseconds, JSON texts parsed."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    cells = column.to_pylist()
    if pa.types.is_binary(column.type):
        cells = [None if cell is None else json.loads(cell) for cell in cells]
    return exact(cells)


def exact(cells: list[Any]) -> list[Any]:
    """Return the cells with floats as texts, so that NaN equals NaN and 0.0 differs from -0.0."""
    return [_float_text(cell) if isinstance(cell, float) else cell for cell in cells]


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return value.hex()
