"""Which query models are accepted, and the messages for those that are refused."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import OrderBy, UnitsQuestion, UsageOverTimeQuestion
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.panels.query_model import question_of, read_query
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


@pytest.mark.parametrize(
    "json",
    [
        b'{"clusters": ["\xed\xa0\x80"]}',
        b'{"\x80queryType": "clusters"}',
        b'{"unknown": ["\xff"]}',
        b'{"unknown": {"\xff": 1}}',
        b'{"queryType": "units"}\xff',
    ],
)
def test_a_query_that_is_not_utf8(json: bytes) -> None:
    with pytest.raises(QuestionError, match="not valid UTF-8"):
        read_query(json)


@pytest.mark.parametrize("query", ["uuid=\ud800", "\udfff=1", "field=uuid&cluster_id=a\udc00"])
def test_a_query_string_with_half_of_a_surrogate_pair(query: str) -> None:
    with pytest.raises(QuestionError, match=SAID):
        parse_query(query)
    with pytest.raises(QuestionError, match="not valid UTF-8"):
        parse_query("uuid=%ED%A0%80")


def test_a_query_that_is_too_long_is_not_decoded() -> None:
    with pytest.raises(QuestionError, match="longer than 1048576 bytes; name fewer"):
        read_query(b'{"clusters": ["' + b"x" * 1024 * 1024 + b'"]}')


def test_what_is_named_twice_counts_once() -> None:
    twice = ["a", "b", "a"] * 1_000
    model, kind = read_query(msgspec.json.encode({"fields": twice, "users": twice, "orderBy": ["-a", "a", "b"] * 999}))
    question = question_of(model, kind, Window(0, 1))
    assert isinstance(question, UnitsQuestion)
    assert (question.fields, question.selection.users) == (("a", "b"), ("a", "b"))
    assert question.order == (OrderBy("a", descending=True), OrderBy("b"))


@pytest.mark.parametrize("number", ["1234567", "9007199254740993", "12345678901234567890", "-1", "0"])
def test_a_number_in_a_filter_keeps_its_digits(number: str) -> None:
    model, kind = read_query(f'{{"filters": [{{"key": "uuid", "value": {number}}}]}}'.encode())
    question = question_of(model, kind, Window(0, 1))
    assert isinstance(question, UnitsQuestion)
    assert question.selection.filters[0].values == (number,)


@pytest.mark.parametrize("name", ["", "$__timezone", "${__timezone}"])
def test_a_query_that_no_browser_sends_has_no_viewers_zone(name: str) -> None:
    model, kind = read_query(f'{{"queryType": "usage-over-time", "timezone": "{name}"}}'.encode())
    question = question_of(model, kind, Window(0, 1))
    assert isinstance(question, UsageOverTimeQuestion)
    assert question.zone is None


@pytest.mark.parametrize(
    "name", ["UTC", "utc", "Etc/UTC", "Etc/Unknown", "GMT", "Etc/GMT", "Zulu", "browser", "undefined"]
)
def test_names_with_which_browsers_say_utc_or_nothing_mean_utc(name: str) -> None:
    model, kind = read_query(f'{{"queryType": "usage-over-time", "timezone": "{name}"}}'.encode())
    question = question_of(model, kind, Window(0, 1))
    assert isinstance(question, UsageOverTimeQuestion)
    assert str(question.zone) == "UTC"


@pytest.mark.parametrize(
    ("offset", "minutes"),
    [
        ("+02:00", 120),
        ("+0200", 120),
        ("+2", 120),
        ("-05:00", -300),
        ("+14:00", 840),
        ("-12:00", -720),
        ("+00:00", 0),
        ("-00:00", 0),
        ("UTC+1", 60),
        ("GMT-03:00", -180),
        ("+04:30", 270),
        ("+05:30", 330),
        ("+05:45", 345),
        ("+06:30", 390),
        ("+09:30", 570),
        ("-09:30", -570),
    ],
)
def test_offsets_are_zones(offset: str, minutes: int) -> None:
    model, kind = read_query(f'{{"queryType": "usage-over-time", "timezone": "{offset}"}}'.encode())
    question = question_of(model, kind, Window(0, 1))
    assert isinstance(question, UsageOverTimeQuestion)
    assert question.zone is not None
    for moment in (datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)):
        assert moment.astimezone(question.zone).utcoffset() == timedelta(minutes=minutes)


@pytest.mark.parametrize("name", ["+15:00", "-13:00", "+02:07", "+2:0", "+", "2", "+02:00:00"])
def test_offsets_that_no_zone_has_are_refused(name: str) -> None:
    model, kind = read_query(f'{{"queryType": "usage-over-time", "timezone": "{name}"}}'.encode())
    with pytest.raises(QuestionError, match="unknown time zone"):
        question_of(model, kind, Window(0, 1))


@pytest.mark.parametrize("name", ["Etc/GMT+5", "Europe/Paris"])
def test_other_zones_stay(name: str) -> None:
    model, kind = read_query(f'{{"queryType": "usage-over-time", "timezone": "{name}"}}'.encode())
    question = question_of(model, kind, Window(0, 1))
    assert isinstance(question, UsageOverTimeQuestion)
    assert str(question.zone) == name
