"""Limits on what a question may name and on the size of an answer."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from ceems_grpc.domain.columns import UNIT_COLUMNS
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions import limits
from ceems_grpc.domain.questions.fields import choose_fields
from ceems_grpc.domain.questions.limits import check_cells, check_limits, check_series, distinct_orders
from ceems_grpc.domain.questions.model import (
    Directory,
    DirectoryQuestion,
    Filter,
    OrderBy,
    Selection,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
)
from ceems_grpc.domain.questions.ordering import sort_table
from ceems_grpc.domain.questions.window import Window

WINDOW = Window(0, 86_400)


def texts(count: int, length: int = 5) -> tuple[str, ...]:
    return tuple(f"{number:0{length}}" for number in range(count))


KINDS: dict[str, Callable[..., Any]] = {
    "units": lambda **given: UnitsQuestion(WINDOW, **given),
    "usage": lambda **given: UsageQuestion(WINDOW, **given),
    "over time": lambda **given: UsageOverTimeQuestion(WINDOW, **given),
    "stats": lambda **given: StatsQuestion(WINDOW, **given),
    "directory": lambda **given: DirectoryQuestion(Directory.USERS, **given),
}
TOO_MUCH: dict[str, dict[str, Any]] = {
    "fields": {"fields": texts(501)},
    "filters": {"selection": Selection(filters=(Filter("uuid", "=", ("x",)),) * 101)},
    "clusters": {"selection": Selection(clusters=texts(5_001))},
    "a long text": {"selection": Selection(users=("x" * 1_001,))},
    "a long field": {"fields": ("x" * 1_001,)},
    "a long filter": {"selection": Selection(filters=(Filter("x" * 1_001, "=", ("x",)),))},
    "values of a filter": {"selection": Selection(filters=(Filter("uuid", "=|", texts(5_001)),))},
    "all texts": {"selection": Selection(projects=texts(600, 1_000))},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", TOO_MUCH)
def test_a_question_that_names_too_much_is_refused_with_what_to_shorten(kind: str, what: str) -> None:
    with pytest.raises(QuestionError, match=r"name fewer|shorten it") as caught:
        check_limits(KINDS[kind](**TOO_MUCH[what]))
    assert caught.value.status == 400


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_of_an_honest_size_is_not_refused(kind: str) -> None:
    filters = (Filter("uuid", "=|", texts(1_000)),) * 20
    check_limits(
        KINDS[kind](fields=texts(500), selection=Selection(texts(2_000), texts(2_000), texts(2_000), (), filters))
    )


def test_too_many_criteria_are_refused_and_a_field_sorts_once() -> None:
    order = distinct_orders([OrderBy("uuid"), OrderBy("state"), OrderBy("uuid", descending=True)] * 2_000)
    assert order == (OrderBy("uuid"), OrderBy("state"))
    with pytest.raises(QuestionError, match="orderBy: 21 values; at most 20"):
        check_limits(UnitsQuestion(WINDOW, order=tuple(map(OrderBy, texts(21)))))


def test_cells_are_counted_before_they_are_made() -> None:
    table = pa.table({"uuid": pa.nulls(100_000, pa.string())})
    assert choose_fields(["uuid", "tags.a"], UNIT_COLUMNS).select(table).num_columns == 2
    before = pa.total_allocated_bytes()
    with pytest.raises(QuestionError, match=r"50000000 cells \(100000 rows of 500 columns\).*fewer fields"):
        choose_fields([f"avg_cpu_usage.k{number}" for number in range(500)], UNIT_COLUMNS).select(table)
    assert pa.total_allocated_bytes() - before < 1_000_000
    check_cells(100_000, 80)


def test_series_are_counted() -> None:
    check_series(200, 10_000)
    check_series(5_000, 400)
    with pytest.raises(QuestionError, match="5001 series"):
        check_series(5_001, 1)
    with pytest.raises(QuestionError, match=r"2000100 cells \(1 series of 2000100 steps\).*longer step"):
        check_series(1, limits.MOST_SERIES_CELLS + 100)


def test_many_missing_keys_share_one_column_of_nulls() -> None:
    table = pa.table({"uuid": ["1"] * 1_000})
    before = pa.total_allocated_bytes()
    shown = choose_fields([f"avg_cpu_usage.k{number}" for number in range(500)], UNIT_COLUMNS).select(table)
    assert shown.num_columns == 500
    assert pa.total_allocated_bytes() - before < 50_000


def test_a_column_that_two_criteria_mean_sorts_by_the_first() -> None:
    table = pa.table({"m.a": [1.0, 3.0, 2.0]})
    assert sort_table(table, (OrderBy("m"), OrderBy("m.a", descending=True))).column(0).to_pylist() == [1.0, 2.0, 3.0]
