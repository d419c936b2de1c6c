"""Frames and fields: shape, names, labels, nulls, slices."""

from __future__ import annotations

import doctest

import pyarrow as pa
import pytest

from ceems_grpc.grafana import Field, Frame
from ceems_grpc.grafana.data import frame as frame_module
from ceems_grpc.grafana.data.columns import grafana_column


def _data_address(array: pa.Array | pa.ChunkedArray) -> int:
    chunk = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    address: int = chunk.buffers()[-1].address
    return address


def test_the_example_in_the_documentation_is_true() -> None:
    results = doctest.testmod(frame_module)
    assert (results.failed, results.attempted) == (0, 6)


def test_fields_of_different_lengths_are_refused_and_named() -> None:
    with pytest.raises(ValueError, match=r"frame 'units' must have one length, but have a: 1, b: 2"):
        Frame("units", [Field("a", pa.array([1])), Field("b", pa.array([1, 2]))])


def test_a_slice_copies_nothing_and_ends_with_the_frame() -> None:
    frame = Frame("f", [Field("v", pa.array([1, 2, 3, 4])), Field("c", pa.chunked_array([[1], [2, 3], [4]]))])
    part = frame.slice(1, 2)
    assert [field.data.to_pylist() for field in part.fields] == [[2, 3], [2, 3]]
    assert _data_address(part.fields[0].data) == _data_address(frame.fields[0].data)
    assert frame.slice(3, 10).num_rows == 1
    assert frame.slice(2).num_rows == 2
    assert pa.ipc.open_file(part.to_arrow()).read_all().column(0).to_pylist() == [2, 3]


def test_a_frame_without_fields_has_no_rows() -> None:
    assert Frame("empty").num_rows == 0
    assert Frame("empty").slice(0, 5).fields == ()


@pytest.mark.parametrize(
    ("cells", "stated", "nullable"),
    [([1, 2], None, False), ([1, None], None, True), ([1, 2], True, True), ([1, 2], False, False), ([], None, False)],
)
def test_nulls_are_expected_where_there_are_some_or_where_stated(
    cells: list[int | None], stated: bool | None, nullable: bool
) -> None:
    field = Field("v", pa.array(cells, pa.int64()), nullable=stated)
    assert field.column().nullable is nullable


def test_nulls_in_a_field_said_to_have_none_are_refused() -> None:
    with pytest.raises(ValueError, match="field 'v' is declared not nullable but has 1 nulls"):
        Field("v", pa.array([1, None]), nullable=False).column()


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1.5, 2.5]),
        pa.array(["a", "b"]),
        pa.array([1, 2], pa.timestamp("ns")),
        pa.array([1, 2], pa.timestamp("ns", "Europe/Paris")),
        pa.array([b"{}", b"[]"]),
        pa.array(["a", "b"], pa.large_string()),
        pa.chunked_array([[1.5, 2.5]]),
    ],
    ids=lambda array: str(array.type),
)
def test_values_are_not_copied_where_grafana_reads_them_as_they_are(array: pa.Array | pa.ChunkedArray) -> None:
    assert _data_address(grafana_column("v", array)) == _data_address(array)
