"""Frames in Grafana's JSON format: random frames read back, and the rules of times, entities and JSON cells."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings

from ceems_grpc.grafana import Field, FieldConfig, Frame, FrameMeta, FrameType
from tests.support.frame_tables import exact, exact_cells, frames

_ENTITIES = {"NaN": float("nan"), "Inf": float("inf"), "NegInf": float("-inf")}


def _read_column(decoded: dict[str, Any], index: int) -> list[Any]:
    """Read a column back as the format's rules say, knowing nothing of how it was written."""
    data, kind = decoded["data"], decoded["schema"]["fields"][index]["typeInfo"]["frame"]
    cells = list(data["values"][index])
    for name, rows in (data.get("entities", [None] * 99)[index] or {}).items():
        for row in rows:
            assert cells[row] is None
            cells[row] = _ENTITIES[name]
    if kind == "time.Time":
        nanos = data.get("nanos", [None] * 99)[index] or [0] * len(cells)
        assert all(0 <= rest < 1_000_000 for rest in nanos)
        cells = [None if cell is None else cell * 1_000_000 + rest for cell, rest in zip(cells, nanos, strict=True)]
    if kind == "float32":
        cells = pa.array(cells, pa.float32()).to_pylist()
    return cells


@settings(deadline=None)
@given(frames())
def test_a_random_frame_reads_back_equal(frame: Frame) -> None:
    decoded = json.loads(frame.to_json())
    schema = decoded["schema"]
    assert (schema.get("name", ""), schema.get("refId", "")) == (frame.name, frame.ref_id)
    assert len(schema["fields"]) == len(decoded["data"]["values"]) == len(frame.fields)
    for index, (field, described) in enumerate(zip(frame.fields, schema["fields"], strict=True)):
        assert described.get("name", "") == field.name
        assert described.get("labels", {}) == field.labels
        nullable = field.nullable or field.data.null_count > 0
        assert described["typeInfo"].get("nullable", False) is nullable
        assert exact(_read_column(decoded, index)) == exact_cells(field.data)


def test_the_whole_of_a_small_frame() -> None:
    frame = Frame(
        "usage",
        [
            Field("time", pa.array([1_500, None], pa.timestamp("us"))),
            Field("power", pa.array([1.5, float("nan")]), {"user": "a"}, FieldConfig(unit="watt")),
        ],
        FrameMeta(type=FrameType.TIMESERIES_WIDE),
        "A",
    )
    assert frame.to_json() == (
        b'{"schema":{"name":"usage","refId":"A","meta":{"type":"timeseries-wide","typeVersion":[0,1]},"fields":['
        b'{"name":"time","type":"time","typeInfo":{"frame":"time.Time","nullable":true}},'
        b'{"name":"power","type":"number","typeInfo":{"frame":"float64"},"labels":{"user":"a"},"config":{"unit":"watt"}}'
        b']},"data":{"values":[[1,null],[1.5,null]],"entities":[null,{"NaN":[1]}],"nanos":[[500000,0],null]}}'
    )


def test_schema_and_data_can_be_sent_apart() -> None:
    frame = Frame("f", [Field("v", pa.array([1]))])
    whole = json.loads(frame.to_json())
    assert json.loads(frame.to_json(data=False)) == {"schema": whole["schema"]}
    assert json.loads(frame.to_json(schema=False)) == {"data": whole["data"]}


def test_an_empty_frame() -> None:
    assert json.loads(Frame("").to_json()) == {"schema": {"fields": []}, "data": {"values": []}}


def test_a_time_before_1970_is_rounded_down() -> None:
    data = json.loads(Frame("f", [Field("t", pa.array([-1, -1_000_000], pa.timestamp("ns")))]).to_json())["data"]
    assert data == {"values": [[-1, -1]], "nanos": [[999_999, 0]]}


def test_infinities_are_entities_of_their_own() -> None:
    cells = [float("inf"), None, float("-inf"), 1.0]
    data = json.loads(Frame("f", [Field("v", pa.array(cells, pa.float32()))]).to_json())["data"]
    assert data == {"values": [[None, None, None, 1.0]], "entities": [{"Inf": [0], "NegInf": [2]}]}


def test_a_float32_is_written_short() -> None:
    assert b"[[0.1]]" in Frame("f", [Field("v", pa.array([0.1], pa.float32()))]).to_json()


def test_integers_of_64_bits_are_whole_numbers() -> None:
    frame = Frame("f", [Field("i", pa.array([-(2**63)])), Field("u", pa.array([2**64 - 1], pa.uint64()))])
    assert b"[[-9223372036854775808],[18446744073709551615]]" in frame.to_json()


@pytest.mark.parametrize("cell", [b"", b"{", b"1,2", b"nope"])
def test_a_json_cell_that_is_no_json_is_refused_with_its_row(cell: bytes) -> None:
    frame = Frame("f", [Field("tags", pa.array([b"{}", cell]))])
    with pytest.raises(ValueError, match="field 'tags', row 1: the cell is not JSON text"):
        frame.to_json()


def test_text_that_is_no_utf8_is_marked_and_does_not_fail_the_frame() -> None:
    broken = pa.array([b"caf\xe9", b"ok", None]).view(pa.string())
    assert json.loads(Frame("f", [Field("v", broken)]).to_json())["data"]["values"] == [["caf�", "ok", None]]
