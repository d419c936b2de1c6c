"""Decoders of input from outside raise the documented error, or return a value that survives re-encoding."""

from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.window import LAST_SECOND, Window
from ceems_grpc.panels.query_keys import unknown_keys
from ceems_grpc.panels.query_model import question_of, read_query
from ceems_grpc.panels.report import describe
from ceems_grpc.rest.parameters import as_admin, count, parse_query, window_of
from ceems_grpc.store.plan.codec import decode_plan, encode_plan
from tests.fuzz.inputs import corpus, inputs

_NOW = 1_761_440_400
_WINDOW = Window(_NOW - 86_400, _NOW)
_LONGEST = 1_010  # maximum length of a message, in characters


def check_message(error: Exception) -> None:
    """Check that an error message, which people read, is not empty and not as long as the input."""
    assert 0 < len(str(error)) <= _LONGEST


def check_query_model(data: bytes) -> bool:
    """Decode a panel's query. Return whether the input was one."""
    try:
        model, kind = read_query(data)
        question = question_of(model, kind, _WINDOW)
    except QuestionError as error:
        check_message(error)
        return False
    again, kind_again = read_query(msgspec.json.encode(model))
    assert (question_of(again, kind_again, _WINDOW), kind_again) == (question, kind)
    assert describe(kind, question).encode()
    assert isinstance(unknown_keys(data), tuple)
    return True


def check_parameters(data: bytes) -> bool:
    """Decode a query string of the REST API. Return whether the input was one."""
    text = data.decode(errors="surrogateescape")
    try:
        parameters = parse_query(text)
        assert parse_query(urlencode(parameters, doseq=True)) == parameters
        window = window_of(parameters, _NOW)
        assert -LAST_SECOND <= window.start <= LAST_SECOND
        assert -LAST_SECOND <= window.end <= LAST_SECOND
        count(parameters, "limit", 10)
        as_admin(parameters, "admin")
    except QuestionError as error:
        check_message(error)
        return False
    return True


def check_plan(data: bytes) -> bool:
    """Decode a plan of another host. Return whether the input was one."""
    try:
        plan = decode_plan(data)
    except ValueError as error:
        check_message(error)
        return False
    encoded = encode_plan(plan)
    assert encode_plan(decode_plan(encoded)) == encoded
    return True


_CHECKS = {"query_models": check_query_model, "parameters": check_parameters, "plans": check_plan}


@pytest.mark.parametrize("harness", _CHECKS)
def test_the_corpus_is_read(harness: str) -> None:
    assert [data for data in corpus(harness) if not _CHECKS[harness](data)] == []


@given(inputs("query_models"))
def test_query_models(data: bytes) -> None:
    check_query_model(data)


@given(inputs("parameters"))
def test_parameters(data: bytes) -> None:
    check_parameters(data)


@given(inputs("plans"))
def test_plans(data: bytes) -> None:
    check_plan(data)
