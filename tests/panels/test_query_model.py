"""Half of a surrogate pair is no character: wherever texts enter, it is refused with a sentence that says so."""

import pytest

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.panels.query_model import read_query
from ceems_grpc.rest.parameters import parse_query

SAID = "half of a surrogate pair"


@pytest.mark.parametrize(
    "text",
    [
        r"\ud800", r"\uDBFF", r"\udc00", r"a\ud83dz", r"\ud83d\ud83d\ude00", r"\ud83d\ude00\ude00", r"\ud83d\u0041",
        r"\\\ud800", r"\ud800\\udc00", r"\n\udfff",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["clusters", "users", "fields"])
def test_a_query_with_half_of_a_surrogate_pair(key: str, text: str) -> None:
    with pytest.raises(QuestionError, match=SAID):
        read_query(f'{{"{key}": ["{text}"]}}'.encode())


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\\ud800", r"\ud83d\ude00\ud83d\ude00", "\U0001f600", r"\u0041"])
def test_a_query_with_whole_pairs(text: str) -> None:
    assert read_query(f'{{"clusters": ["{text}"]}}'.encode())[1] == "units"
    with pytest.raises(QuestionError, match=r"^(?!.*surrogate).*the query cannot be read"):
        read_query(f'{{"clusters": ["{text}"], "limit": 0}}'.encode())


def test_a_query_that_is_not_utf8() -> None:
    with pytest.raises(QuestionError, match="not valid UTF-8"):
        read_query(b'{"clusters": ["\xed\xa0\x80"]}')


@pytest.mark.parametrize("query", ["uuid=\ud800", "\udfff=1", "field=uuid&cluster_id=a\udc00"])
def test_a_query_string_with_half_of_a_surrogate_pair(query: str) -> None:
    with pytest.raises(QuestionError, match=SAID):
        parse_query(query)
    with pytest.raises(QuestionError, match="not valid UTF-8"):
        parse_query("uuid=%ED%A0%80")
