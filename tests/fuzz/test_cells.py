"""Frames whose cells hold any bytes, as in a damaged database: their Arrow and JSON forms can always be read."""

import json
import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.grafana import Field, Frame
from tests.fuzz.inputs import corpus, inputs

_ROW = 12  # bytes of the input for one row


def frame_of(data: bytes) -> Frame:
    """Return a frame whose rows are pieces of the input: as text, as a number, as a time."""
    pieces = [data[start : start + _ROW] for start in range(0, len(data), _ROW)]
    texts = pa.array([piece or None for piece in pieces], pa.binary()).view(pa.string())
    eight = b"".join(piece[:8].ljust(8, b"\0") for piece in pieces)
    floats = pa.Array.from_buffers(pa.float64(), len(pieces), [None, pa.py_buffer(eight)])
    whole = pa.Array.from_buffers(pa.int64(), len(pieces), [None, pa.py_buffer(eight)])
    return Frame(
        data[:20].decode(errors="replace"),
        [
            Field("text", texts),
            Field("float", floats),
            Field("whole", whole),
            Field("time", whole.cast(pa.timestamp("ns"))),
        ],
    )


def raw_texts(table: pa.Table) -> list[bytes | None]:
    """Return the texts as transmitted: Arrow carries the bytes, and Grafana marks those that are not UTF-8."""
    return [cell for chunk in table.column("text").chunks for cell in chunk.view(pa.binary()).to_pylist()]


def check_frame(data: bytes) -> None:
    """Encode a frame in both forms, and read it."""
    frame = frame_of(data)
    table = pa.ipc.open_file(frame.to_arrow()).read_all()
    texts = [None if cell is None else cell.decode(errors="replace") for cell in raw_texts(table)]
    table.drop_columns("text").validate(full=True)
    assert table.num_rows == math.ceil(len(data) / _ROW)
    sent = json.loads(frame.to_json())
    values = sent["data"]["values"]
    assert values[0] == texts, "the two forms of a frame have different texts"
    assert values[2] == table.column("whole").to_pylist()
    assert [len(column) for column in values] == [table.num_rows] * 4


@pytest.mark.parametrize("data", corpus("cells"), ids=len)
def test_the_corpus(data: bytes) -> None:
    check_frame(data)


@given(st.one_of(inputs("cells"), st.text(max_size=60).map(str.encode)))
def test_frames(data: bytes) -> None:
    check_frame(data)
