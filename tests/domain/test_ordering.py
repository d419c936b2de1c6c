"""Sorting answers."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import OrderBy
from ceems_grpc.domain.questions.ordering import check_order, sort_table

rows = st.lists(st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, "a", "b"])), max_size=12)


@given(rows, st.booleans(), st.booleans())
def test_sorting_keeps_the_order_of_equals_and_puts_nulls_last(
    values: list[tuple[int | None, str | None]], first_down: bool, second_down: bool
) -> None:
    table = pa.table(
        {
            "n": pa.array([n for n, _ in values], pa.int64()),
            "t": pa.array([t for _, t in values], pa.string()),
            "position": pa.array(range(len(values)), pa.int64()),
        }
    )
    found = sort_table(table, (OrderBy("n", first_down), OrderBy("t", second_down))).to_pylist()

    def key(row: dict[str, object]) -> tuple[object, ...]:
        number, text = row["n"], row["t"]
        assert number is None or isinstance(number, int)
        assert text is None or isinstance(text, str)
        one = (1, 0) if number is None else (0, -number if first_down else number)
        code = 0 if text is None else ord(text)
        two = (1, 0) if text is None else (0, -code if second_down else code)
        return (one, two, row["position"])

    assert found == sorted(table.to_pylist(), key=key)


def test_a_metric_without_a_key_means_its_first() -> None:
    table = pa.table({"m.a": [2.0, 1.0], "m.b": [1.0, 2.0]})
    assert sort_table(table, (OrderBy("m"),)).column("m.a").to_pylist() == [1.0, 2.0]


def test_an_order_by_what_no_row_has_changes_nothing() -> None:
    table = pa.table({"m.a": [2.0, 1.0]})
    assert sort_table(table, (OrderBy("m.z"), OrderBy("other"))) == table


def test_an_order_by_what_no_answer_has_is_an_error() -> None:
    check_order((OrderBy("m.key"), OrderBy("m")), frozenset({"m"}))
    with pytest.raises(QuestionError, match=r"cannot order by 'x\.m'") as caught:
        check_order((OrderBy("x.m"),), frozenset({"m"}))
    assert caught.value.status == 400
