"""Frames as Arrow IPC files: random frames read back, conversions of every other Arrow type, metadata."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings

from ceems_grpc.grafana import DataLink, EnumConfig, Field, FieldConfig, Frame, FrameMeta, FrameType, Notice, TypeConfig
from tests.support.frame_tables import exact_cells, frames

_SIMPLE_TYPES = {"bool": "boolean", "string": "string", "timestamp[ns]": "time", "binary": "other"}
_DAY_NANOSECONDS = 86_400_000_000_000


def _read(encoded: bytes) -> pa.Table:
    with pa.ipc.open_file(encoded) as reader:
        assert reader.num_record_batches == 1, "Grafana's conversion to JSON reads the first batch only"
        batch = reader.get_batch(0)
    batch.validate(full=True)
    return pa.Table.from_batches([batch])


@settings(deadline=None)
@given(frames())
def test_a_random_frame_reads_back_equal(frame: Frame) -> None:
    table = _read(frame.to_arrow())
    assert table.schema.metadata == {b"name": frame.name.encode(), b"refId": frame.ref_id.encode()}
    assert table.num_columns == len(frame.fields)
    for index, field in enumerate(frame.fields):
        arrow_field, column = table.schema.field(index), table.column(index)
        assert arrow_field.name == field.name
        assert arrow_field.type == field.data.type
        assert exact_cells(column) == exact_cells(field.data)
        assert arrow_field.nullable is (field.nullable or field.data.null_count > 0)
        assert json.loads(arrow_field.metadata.get(b"labels", b"{}")) == field.labels
        expected = "enum" if field.config else _SIMPLE_TYPES.get(str(field.data.type), "number")
        assert arrow_field.metadata[b"tstype"].decode() == expected


_CONVERTED: list[tuple[str, pa.Array, pa.DataType, list[Any]]] = [
    ("seconds", pa.array([1, None], pa.timestamp("s")), pa.timestamp("ns"), [1_000_000_000, None]),
    ("milliseconds", pa.array([-1, None], pa.timestamp("ms")), pa.timestamp("ns"), [-1_000_000, None]),
    ("zoned", pa.array([1, None], pa.timestamp("us", "Europe/Paris")), pa.timestamp("ns"), [1_000, None]),
    ("date32", pa.array([dt.date(1970, 1, 2), None]), pa.timestamp("ns"), [_DAY_NANOSECONDS, None]),
    ("date64", pa.array([86_400_000, None], pa.date64()), pa.timestamp("ns"), [_DAY_NANOSECONDS, None]),
    ("large text", pa.array(["a", None], pa.large_string()), pa.string(), ["a", None]),
    ("text view", pa.array(["a" * 20, None], pa.string_view()), pa.string(), ["a" * 20, None]),
    ("dictionary", pa.array(["x", None, "x"]).dictionary_encode(), pa.string(), ["x", None, "x"]),
    (
        "null in a dictionary",
        pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["q", None], pa.large_string())),
        pa.string(),
        ["q", None],
    ),
    ("dictionary of numbers", pa.array([5, None]).dictionary_encode(), pa.int64(), [5, None]),
    ("runs", pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["r", None])), pa.string(), ["r", "r", None]),
    ("decimal", pa.array([Decimal("1.25"), None]), pa.float64(), ["0x1.4000000000000p+0", None]),
    ("decimal with no exact float", pa.array([Decimal("0.35")]), pa.float64(), [(0.35).hex()]),
    ("wide decimal", pa.array([Decimal(1) / 3], pa.decimal256(60, 28)), pa.float64(), [(1 / 3).hex()]),
    ("float16", pa.array([1.5, None], pa.float16()), pa.float32(), [(1.5).hex(), None]),
    ("null", pa.nulls(2), pa.string(), [None, None]),
    ("large binary", pa.array([b"{}", None], pa.large_binary()), pa.binary(), [{}, None]),
    ("binary view", pa.array([b"[1]", None], pa.binary_view()), pa.binary(), [[1], None]),
    ("json", pa.array(['{"a":1}', None], pa.json_()), pa.binary(), [{"a": 1}, None]),
    ("list", pa.array([[1, None], None, []]), pa.binary(), [[1, None], None, []]),
    ("NaN in a list", pa.array([[float("nan")]]), pa.binary(), [[None]]),
    ("fixed list", pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), pa.binary(), [[1, 2], None]),
    ("list view", pa.array([["a"], None], pa.list_view(pa.string())), pa.binary(), [["a"], None]),
    (
        "struct",
        pa.array([{"a": Decimal("1.5"), "t": dt.datetime(2020, 1, 2, tzinfo=dt.UTC)}, None]),
        pa.binary(),
        [{"a": 1.5, "t": "2020-01-02T00:00:00Z"}, None],
    ),
    ("map", pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())), pa.binary(), [{"k": 1}, None]),
]


@pytest.mark.parametrize("chunks", [1, 2, 0])
@pytest.mark.parametrize(("array", "kind", "cells"), [case[1:] for case in _CONVERTED], ids=[c[0] for c in _CONVERTED])
def test_what_grafana_does_not_read_is_converted(
    array: pa.Array, kind: pa.DataType, cells: list[Any], chunks: int
) -> None:
    column = pa.chunked_array([array] * chunks, array.type)
    table = _read(Frame("f", [Field("v", column)]).to_arrow())
    assert table.schema.field(0).type == kind
    assert exact_cells(table.column(0)) == cells * chunks


def test_a_slice_of_a_converted_column_holds_its_own_rows() -> None:
    frame = Frame("f", [Field("v", pa.array(["a", "b", "c", None]).dictionary_encode())])
    assert _read(frame.slice(1, 2).to_arrow()).column(0).to_pylist() == ["b", "c"]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1], pa.duration("s")),
        pa.array([1], pa.time32("s")),
        pa.array([b"ab"], pa.binary(2)),
        pa.array([b"0" * 16], pa.uuid()),
    ],
    ids=lambda array: str(array.type),
)
def test_a_type_without_a_counterpart_is_refused_by_field_name(array: pa.Array) -> None:
    with pytest.raises(TypeError, match=r"field 'elapsed': Grafana has no type for .*; cast the column"):
        Frame("f", [Field("elapsed", array)]).to_arrow()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (pa.array([dt.date(9999, 1, 1)]), "out of bounds"),
        (pa.array([dt.datetime(1500, 1, 1)], pa.timestamp("us")), "out of bounds"),  # noqa: DTZ001 - naive on purpose
        (pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int8())), "duplicate key was 'k'"),
    ],
    ids=["date", "timestamp", "map"],
)
def test_a_value_that_does_not_fit_is_refused_by_field_name(array: pa.Array, reason: str) -> None:
    with pytest.raises(ValueError, match=f"field 'v' of type .* cannot be sent to Grafana: .*{reason}"):
        Frame("f", [Field("v", array)]).to_arrow()


def test_an_enum_is_written_as_indexes() -> None:
    config = FieldConfig(type=TypeConfig(EnumConfig(["idle", "busy"])))
    field = _read(Frame("f", [Field("state", pa.array([0, 1, None]), config=config)]).to_arrow()).schema.field(0)
    assert field.type == pa.uint16()
    assert field.metadata[b"tstype"] == b"enum"
    assert json.loads(field.metadata[b"config"]) == {"type": {"enum": {"text": ["idle", "busy"]}}}


@pytest.mark.parametrize(("array", "error"), [(pa.array(["idle"]), TypeError), (pa.array([-1]), ValueError)])
def test_an_enum_of_anything_but_indexes_is_refused(array: pa.Array, error: type[Exception]) -> None:
    with pytest.raises(error, match="field 'state'"):
        Frame("f", [Field("state", array, config=FieldConfig(type=TypeConfig(EnumConfig(["idle"]))))]).to_arrow()


def test_metadata_stands_where_grafana_looks_for_it() -> None:
    meta = FrameMeta(type=FrameType.NUMERIC_WIDE, executed_query="select 1", notices=[Notice("warning", "old data")])
    config = FieldConfig(unit="watt", decimals=0, links=[DataLink(title="Job", url="/d/job")])
    frame = Frame("f", [Field("v", pa.array([1]), {"b": "2", "a": "1"}, config)], meta, "A")
    schema = _read(frame.to_arrow()).schema
    assert set(schema.metadata) == {b"name", b"refId", b"meta"}
    assert json.loads(schema.metadata[b"meta"]) == json.loads(msgspec.json.encode(meta))
    assert schema.field(0).metadata[b"labels"] == b'{"a":"1","b":"2"}'
    assert json.loads(schema.field(0).metadata[b"config"]) == json.loads(msgspec.json.encode(config))


@pytest.mark.parametrize("fields", [[], [Field("v", pa.array([], pa.float64()))]], ids=["no fields", "no rows"])
def test_an_empty_frame_has_one_empty_batch(fields: list[Field]) -> None:
    assert _read(Frame("f", fields).to_arrow()).num_rows == 0
