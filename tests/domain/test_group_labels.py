"""The groups to which values of tags and allocation belong."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ceems_grpc.domain.answers.group_labels import class_of, labels_of, number_text, rank
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.groups import POWERS_OF_TWO, check_groups, value_groups
from ceems_grpc.domain.questions.model import Classes


def _labels(name: str, *values: Any, classes: tuple[float, ...] = ()) -> list[str | None]:
    groups = value_groups((name,), (Classes(name, classes),) if classes else ())
    (key,) = (group.key for group in groups)
    (labels,) = labels_of([json.dumps({key: value}) for value in values], groups)
    return labels


def test_the_text_of_a_tag() -> None:
    values = ["gpu", "", "1.0", True, False, 1, 1.0, -0.0, 2.5, 1e30, 9_007_199_254_740_993, None]
    wanted = ["gpu", "", "1.0", "true", "false", "1", "1", "0", "2.5", str(int(1e30)), "9007199254740993", None]
    assert _labels("tags.partition", *values) == wanted


def test_equal_objects_and_lists_are_one_group() -> None:
    same = ['{"tags": {"a": 1, "b": [1.0]}}', '{"tags":{"b":[1],"a":1.0}}']
    (labels,) = labels_of(same, value_groups(("tags.tags",)))
    assert labels == ['{"a": 1, "b": [1]}'] * 2


def test_names_within_objects_and_odd_texts() -> None:
    texts = ['{"labels":{"app.io/name":"x"}}', '{"labels.app.io/name":"y"}', None, "", "[1]", '{"lab', "{}"]
    (labels,) = labels_of(texts, value_groups(("tags.labels.app.io/name",)))
    assert labels == ["x", "y", None, None, None, None, None]


def test_groups_of_one_column_are_told_together() -> None:
    labels = labels_of(['{"a":1,"b":2}', '{"b":3}'], value_groups(("tags.a", "tags.b")))
    assert labels == [["1", None], ["2", "3"]]


def test_job_sizes_are_powers_of_two() -> None:
    sizes = [0, 0.5, 1, 1.5, 2, 3, 4, 63, 64, 2**62, -1, "all", True, 127.99]
    assert _labels("allocation.cpus", *sizes) == [
        "0", "<1", "1 to <2", "1 to <2", "2 to <4", "2 to <4", "4 to <8", "32 to <64", "64 to <128",
        f"{2**62} to <{2**63}", "<0", "all", "true", "64 to <128",
    ]  # fmt: skip


def test_given_bounds() -> None:
    sizes = [0, 1, 9.99, 10, 63, 64, 1e9, None]
    wanted = ["<1", "1 to <10", "1 to <10", "10 to <64", "10 to <64", ">=64", ">=64", None]
    assert _labels("allocation.cpus", *sizes, classes=(1, 10, 64)) == wanted
    assert _labels("tags.nodes", 3, "3", classes=(2.5,)) == [">=2.5", "3"]


@given(st.integers(0, 2**70) | st.floats(0, 1e30), st.integers(0, 2**70) | st.floats(0, 1e30))
@example(2**53, 2**53 - 1)
@example(2**62 - 1, float(2**62))
def test_classes_are_exact_and_sort_as_their_numbers(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert rank(class_of(low, POWERS_OF_TWO)) <= rank(class_of(high, POWERS_OF_TWO))
    label = class_of(high, POWERS_OF_TWO)
    if " to <" in label:
        start, end = map(int, label.split(" to <"))
        assert start <= high < end == 2 * start


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9, unique=True).map(sorted), st.floats(-2e9, 2e9))
def test_a_number_is_in_its_class(bounds: list[float], number: float) -> None:
    label = class_of(number, tuple(bounds))
    below, above = label.removeprefix(">=").split("<")[0].removesuffix(" to "), label.partition("<")[2]
    assert not below or float(below) <= number
    assert not above or number < float(above)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_reads_as_the_number(number: float) -> None:
    assert float(number_text(number)) == number


@pytest.mark.parametrize("name", ["uuid", "tags", "tags.", "allocation", "total_time_seconds.walltime", "", "foo.bar"])
def test_what_nothing_is_grouped_by(name: str) -> None:
    with pytest.raises(QuestionError, match=r"cannot group by .*: use cluster_id.*state, name, tags.KEY"):
        check_groups((name,))


@pytest.mark.parametrize(
    ("key", "bounds", "what"),
    [
        ("allocation.cpus", (2.0, 1.0), "ascending"),
        ("allocation.cpus", (1.0, 1.0), "ascending"),
        ("allocation.cpus", (float("inf"),), "ascending"),
        ("allocation.cpus", (), "1 to 100 bounds"),
        ("allocation.gpus", (1.0,), "groupBy"),
        ("state", (1.0,), "groupBy"),
    ],
)
def test_bounds_that_are_refused(key: str, bounds: tuple[float, ...], what: str) -> None:
    with pytest.raises(QuestionError, match=what):
        value_groups(("allocation.cpus", "state"), (Classes(key, bounds),))
