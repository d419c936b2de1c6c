"""Grafana's own Go SDK reads the plugin's frames correctly in both formats."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings

from ceems_grpc.grafana import (
    DataLink,
    EnumConfig,
    Field,
    FieldConfig,
    Frame,
    FrameMeta,
    FrameType,
    InspectTab,
    Notice,
    QueryStat,
    TypeConfig,
)
from tests.support.frame_tables import CELLS, exact, exact_cells, frames
from tests.support.go_host import FrameDecoder

Format = Literal["arrow", "json"]
FORMATS: list[Format] = ["arrow", "json"]

_GO_TYPES = {
    "bool": "bool",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "timestamp[ns]": "time.Time",
    "binary": "json.RawMessage",
}


def _encode(frame: Frame, format_name: Format) -> bytes:
    return frame.to_arrow() if format_name == "arrow" else frame.to_json()


def _decode(decoder: FrameDecoder, frame: Frame, format_name: Format) -> dict[str, Any]:
    report: dict[str, Any] = decoder.decode(format_name, _encode(frame, format_name))["frame"]
    return report


def _assert_same(report: dict[str, Any], frame: Frame) -> None:
    assert (report["name"], report["ref_id"], report["rows"]) == (frame.name, frame.ref_id, frame.num_rows)
    assert len(report["fields"]) == len(frame.fields)
    for read, field in zip(report["fields"], frame.fields, strict=True):
        assert read["name"] == field.name
        assert (read["labels"] or {}) == field.labels
        nullable = field.nullable or field.data.null_count > 0
        kind = "enum" if field.config else _GO_TYPES.get(str(field.data.type), str(field.data.type))
        assert read["type"] == ("*" if nullable else "") + kind
        assert exact(read.get("values", [])) == exact_cells(field.data)


@pytest.mark.parametrize("format_name", FORMATS)
@settings(max_examples=150, deadline=None)
@given(frame=frames())
def test_a_random_frame_is_read_as_it_is(decoder: FrameDecoder, format_name: Format, frame: Frame) -> None:
    _assert_same(_decode(decoder, frame, format_name), frame)


@settings(max_examples=100, deadline=None)
@given(frame=frames())
def test_our_json_is_what_the_sdk_writes_for_the_same_frame(decoder: FrameDecoder, frame: Frame) -> None:
    theirs = decoder.decode("arrow", frame.to_arrow())["again"]
    for field, values in zip(frame.fields, theirs["data"]["values"], strict=True):
        if pa.types.is_floating(
            field.data.type
        ):  # Go writes 1e16 with all its digits, which Python reads as an integer
            values[:] = [None if value is None else float(value) for value in values]
    assert json.loads(frame.to_json()) == theirs


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("kind", CELLS, ids=str)
def test_every_type_with_and_without_nulls_and_rows(
    decoder: FrameDecoder, kind: pa.DataType, format_name: Format
) -> None:
    others: dict[pa.DataType, list[Any]] = {
        pa.bool_(): [False, True],
        pa.string(): ["", 'ü\n"\\\u2028'],
        pa.binary(): [b'{"a":[1,null]}', b'"x"'],
    }
    cells = others.get(kind, [0, 1])
    fields = [
        Field("full", pa.array(cells * 2, kind)),
        Field("holes", pa.array([None, *cells, None], kind)),
        Field("none", pa.nulls(4, kind)),
        Field("stated", pa.array(cells * 2, kind), nullable=True),
    ]
    for frame in (Frame("f", fields), Frame("f", fields).slice(1, 2), Frame("f", fields).slice(0, 0)):
        _assert_same(_decode(decoder, frame, format_name), frame)


@pytest.mark.parametrize("format_name", FORMATS)
def test_extreme_values_are_exact(decoder: FrameDecoder, format_name: Format) -> None:
    nanoseconds = [-1, 1, 999_999, -(10**18) - 1, 2**63 - 1]
    fields = [
        Field("time", pa.array(nanoseconds, pa.timestamp("ns"))),
        Field("float", pa.array([float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308])),
        Field("float32", pa.array([float("nan"), float("inf"), 0.1, 1e-45, 3.4028235e38], pa.float32())),
        Field("int", pa.array([-(2**63), 2**63 - 1, 2**53 + 1, 0, -1])),
        Field("uint", pa.array([2**64 - 1, 2**53 + 1, 0, 1, 2], pa.uint64())),
        Field("time again", pa.array(nanoseconds, pa.timestamp("ns"))),
    ]
    for ordered in (fields, fields[::-1]):  # the SDK has a separate reader for the first field of JSON
        frame = Frame("f", ordered)
        _assert_same(_decode(decoder, frame, format_name), frame)


@pytest.mark.parametrize("format_name", FORMATS)
def test_fields_of_one_name_are_told_apart_by_labels(decoder: FrameDecoder, format_name: Format) -> None:
    frame = Frame("f", [Field("power", pa.array([value]), {"user": user}) for user, value in (("a", 1), ("b", 2))])
    _assert_same(_decode(decoder, frame, format_name), frame)


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_sdk_reads_all_display_options(decoder: FrameDecoder, format_name: Format) -> None:
    config = FieldConfig(
        display_name="Power",
        display_name_from_ds="power",
        path="a/b",
        description="of the host",
        unit="watt",
        decimals=2,
        min=0,
        max=1.5e9,
        interval=60_000,
        filterable=False,
        writeable=True,
        links=[
            DataLink(title="Job", url="/d/${__value.raw}", target_blank=True),
            DataLink(title="Here", url="/"),
            DataLink(title="Explore", target_blank=True, internal={}),
        ],
        no_value="-",
        thresholds={"mode": "absolute", "steps": [{"value": None, "color": "green"}, {"value": 10, "color": "red"}]},
        color={"mode": "thresholds"},
        mappings=[
            {"type": "value", "options": {"0": {"text": "off", "color": "gray"}}},
            {"type": "range", "options": {"from": 1, "to": 2, "result": {"text": "low"}}},
            {"type": "special", "options": {"match": "null", "result": {"text": "none"}}},
        ],
        type=TypeConfig(EnumConfig(["off", "on"], color=["red", "green"], icon=["a", "b"], description=["c", "d"])),
        custom={"width": 120, "cellOptions": {"type": "gauge"}},
    )
    frame = Frame("f", [Field("v", pa.array([0, 1], pa.int8()), config=config)])
    (field,) = _decode(decoder, frame, format_name)["fields"]
    assert field["config"] == json.loads(msgspec.json.encode(config))
    assert (field["type"], field["values"]) == ("enum", [0, 1])


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("frame_type", FrameType)
def test_the_sdk_reads_all_metadata(decoder: FrameDecoder, frame_type: FrameType, format_name: Format) -> None:
    meta = FrameMeta(
        type=frame_type,
        type_version=(0, 1),
        path="a/b",
        path_separator="/",
        custom={"window": [1, 2]},
        stats=[
            QueryStat(display_name="Rows read", value=12.5, unit="short", decimals=1),
            QueryStat(display_name="Nothing", value=0),
        ],
        notices=[
            Notice("info", "a"),
            Notice("warning", "b", "/x", InspectTab.META),
            Notice("error", "c", inspect=InspectTab.STATS),
        ],
        channel="ds/uid/path",
        preferred_visualisation="graph",
        preferred_visualisation_plugin_id="table",
        executed_query="SELECT 'ü'",
        data_topic="annotations",
        unique_row_id_fields=[0],
    )
    frame = Frame("f", [Field("v", pa.array([1]))], meta, "A")
    assert _decode(decoder, frame, format_name)["meta"] == json.loads(msgspec.json.encode(meta))


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_notice_opens_the_tab_that_was_meant(decoder: FrameDecoder, format_name: Format) -> None:
    tabs = [None, *InspectTab]
    frame = Frame("f", meta=FrameMeta(notices=[Notice("info", "look", inspect=tab) for tab in tabs]))
    assert _decode(decoder, frame, format_name)["tabs"] == ["", "meta", "error", "data", "stats"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_frames_without_fields_rows_or_metadata(decoder: FrameDecoder, format_name: Format) -> None:
    for frame in (Frame(""), Frame("f", meta=FrameMeta()), Frame("f", [Field("", pa.array([], pa.float64()))])):
        report = _decode(decoder, frame, format_name)
        _assert_same(report, frame)
        assert (report["meta"] is None) is (frame.meta is None)


def test_the_sdk_turns_an_arrow_file_into_json_directly(decoder: FrameDecoder) -> None:
    fields = [Field("t", pa.chunked_array([[1], [2_000_000]], pa.timestamp("ns"))), Field("v", pa.array([1.5, None]))]
    for frame in (Frame("f", fields, FrameMeta(), "A"), Frame("f", fields).slice(0, 0), Frame("f")):
        assert decoder.decode("arrow", frame.to_arrow())["direct"] == json.loads(frame.to_json())


def test_what_is_no_frame_is_refused_in_the_sdks_words(decoder: FrameDecoder) -> None:
    with pytest.raises(ValueError, match="arrow/ipc"):
        decoder.decode("arrow", b"ARROW1 but not really")
    with pytest.raises(ValueError, match="has no type"):
        decoder.decode("json", b'{"schema":{"fields":[{"name":"v"}]}}')


def test_a_large_frame_is_compressed_and_read_as_it_is(decoder: FrameDecoder) -> None:
    count = 70_000
    fields = [Field(f"n{number}", pa.array(range(number, number + count), pa.int64())) for number in range(8)]
    sparse = pa.array([None if row % 3 else row / 7 for row in range(count)], pa.float64())
    texts = pa.array([None if row % 5 == 0 else f"text {row % 11}" for row in range(count)], pa.string())
    nulls = pa.nulls(count, pa.string())
    frame = Frame("large", [*fields, Field("sparse", sparse), Field("text", texts), Field("none", nulls)])
    assert len(frame.to_arrow()) < sum(field.column().array.nbytes for field in frame.fields) // 2
    _assert_same(_decode(decoder, frame, "arrow"), frame)
