"""JSON objects are split into columns."""

from typing import Any

import pyarrow as pa
import pytest

from ceems_grpc.store.columnar.flatten import decode_list, flatten


def taken(*texts: str | None, numeric: bool = False) -> dict[str, tuple[str, list[object]]]:
    return {key: (str(array.type), array.to_pylist()) for key, array in flatten(texts, numeric=numeric).items()}


def test_one_column_per_key_in_order_of_the_keys() -> None:
    found = flatten(['{"b":1,"a":2}', None, '{"c":3,"":4}'], numeric=True)
    assert list(found) == ["", "a", "b", "c"]
    assert found["a"] == pa.array([2.0, None, None])


@pytest.mark.parametrize("text", [None, "", "{}", "null", "{", '{"a":', "[1]", '"a"', "5", "x", "[" * 100_000])
def test_what_is_no_object_has_no_keys(text: str | None) -> None:
    assert taken(text, numeric=True) == taken(text) == {}


@pytest.mark.parametrize(
    "value", ['"NaN"', '"+Inf"', "NaN", "Infinity", "-Infinity", "1e999", '"x"', "[1]", '{"b":1}', '""']
)
def test_metrics_that_are_no_finite_number_are_zero(value: str) -> None:
    assert taken(f'{{"a":{value}}}', numeric=True) == {"a": ("double", [0.0])}


def test_a_null_is_no_value() -> None:
    assert taken('{"a":null,"b":1}', numeric=True) == {"b": ("double", [1.0])}


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (("1", "2"), "int64", [1, 2]),
        (("1", "2.5"), "double", [1.0, 2.5]),
        (("true", "false"), "bool", [True, False]),
        (('"x"', "null"), "string", ["x", None]),
        (("1", '"x"'), "string", ["1", "x"]),
        (("true", "1"), "string", ["true", "1"]),
        (('{"n":[1,"é"]}', "[]"), "string", ['{"n":[1,"é"]}', "[]"]),
        (("12345678901234567890", "1"), "double", [12345678901234567890.0, 1.0]),
        (("4", "8", "1e400", "true"), "double", [4.0, 8.0, None, None]),
        (("4", "8", '"n/a"', '"6"', "2.5", "3"), "double", [4.0, 8.0, None, 6.0, 2.5, 3.0]),
    ],
)
def test_facts_keep_their_kind(values: tuple[str, ...], type_: str, expected: list[object]) -> None:
    assert taken(*(f'{{"k":{value}}}' for value in values)) == {"k": (type_, expected)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r'{"a":"x\ud800y","b":1}', {"a": ["x\ufffdy"], "b": [1]}),
        (r'{"\udfff":"a"}', {"\ufffd": ["a"]}),
        (r'{"a":"\ud83d\ude00"}', {"a": ["\U0001f600"]}),
        (r'{"a":["\ud800"]}', {"a": ['["\ufffd"]']}),
    ],
)
def test_half_of_a_surrogate_pair_is_replaced(text: str, found: dict[str, list[Any]]) -> None:
    assert {key: values.to_pylist() for key, values in flatten([text], numeric=False).items()} == found


def test_lists_with_half_of_a_surrogate_pair_keep_their_members() -> None:
    assert decode_list(r'["ann","\ud800"]') == ["ann", "\ufffd"]
    assert decode_list('{"ann":1}') == decode_list("[1") == decode_list(None) == []
