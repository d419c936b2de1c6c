"""Series frames: one series per group and value, null where a step has no row."""

import pyarrow as pa
import pytest

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.columns import USAGE_COLUMNS
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.steps import TimeSteps
from ceems_grpc.panels.frames import series_frames

COLUMNS = {column.name: column for column in USAGE_COLUMNS}


def answer(**columns: pa.Array) -> Answer:
    return Answer(pa.table(columns), COLUMNS)


def steps(count: int) -> TimeSteps:
    return TimeSteps(tuple(range(0, count * 3600, 3600)), count * 3600)


def test_rows_become_series_in_the_order_of_their_groups() -> None:
    found = answer(
        username=pa.array(["b", "a", "b", None]),
        step=pa.array([2, 0, 0, 1], pa.int64()),
        num_units=pa.array([1, 2, None, 4], pa.int64()),
    )
    (frame,) = series_frames("usage-over-time", found, ("username",), steps(3), wide=True)
    series = [(dict(field.labels or {}), field.data.to_pylist()) for field in frame.fields[1:]]
    assert series == [
        ({"username": "b"}, [None, None, 1]),
        ({"username": "a"}, [2, None, None]),
        ({"username": ""}, [None, 4, None]),
    ]
    assert len(series_frames("usage-over-time", found, ("username",), steps(3), wide=False)) == 3


def test_without_groups_there_is_one_series_for_each_value() -> None:
    found = answer(step=pa.array([1, 0], pa.int64()), num_units=pa.array([5, 6], pa.int64()))
    (frame,) = series_frames("usage-over-time", found, (), steps(2), wide=True)
    assert [field.data.to_pylist() for field in frame.fields[1:]] == [[6, 5]]


@pytest.mark.parametrize(("groups", "count", "wide"), [(5_001, 1, True), (300, 9_000, True), (150, 9_000, False)])
def test_too_many_series_or_cells_are_refused_before_they_are_made(groups: int, count: int, wide: bool) -> None:
    found = answer(
        username=pa.array([f"user{number}" for number in range(groups)]),
        step=pa.array([0] * groups, pa.int64()),
        num_units=pa.array([1] * groups, pa.int64()),
    )
    before = pa.total_allocated_bytes()
    with pytest.raises(QuestionError, match=r"at most .*choose"):
        series_frames("usage-over-time", found, ("username",), steps(count), wide=wide)
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_no_rows_is_a_frame_with_times_only_or_none() -> None:
    found = answer(
        username=pa.array([], pa.string()), step=pa.array([], pa.int64()), num_units=pa.array([], pa.int64())
    )
    (frame,) = series_frames("usage-over-time", found, ("username",), steps(2), wide=True)
    assert not frame.fields
