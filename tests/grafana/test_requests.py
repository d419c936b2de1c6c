"""Typed requests, decoded from messages."""

from datetime import UTC, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.grafana.backend.context import EPOCH, PluginContext, from_epoch_ms
from ceems_grpc.grafana.backend.query import DataQuery, TimeRange
from ceems_grpc.grafana.backend.resource import ResourceRequest
from ceems_grpc.grafana.serve.handshake import handshake_line
from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.plugin.process import Asker, Handshake

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64)
def test_any_number_of_milliseconds_is_some_moment(milliseconds: int) -> None:
    moment = from_epoch_ms(milliseconds)
    assert moment.tzinfo is UTC
    if 1 < moment.year < 9999:
        assert moment - EPOCH == timedelta(milliseconds=milliseconds)


@given(start=st.integers(-(10**13), 10**13), end=st.integers(-(10**13), 10**13))
def test_a_time_range_keeps_its_milliseconds(start: int, end: int) -> None:
    span = TimeRange.from_proto(pb.TimeRange(fromEpochMS=start, toEpochMS=end))
    assert (span.start_ms, span.end_ms) == (start, end)


@given(INT64)
def test_any_interval_can_be_read(milliseconds: int) -> None:
    interval = DataQuery.from_proto(pb.DataQuery(intervalMS=milliseconds)).interval
    assert (interval > timedelta(0)) == (milliseconds > 0)


def test_a_context_without_anything_has_no_user_and_no_data_source() -> None:
    context = PluginContext.from_proto(pb.PluginContext())
    assert (context.user, context.data_source) == (None, None)


def test_secrets_are_not_in_what_is_printed() -> None:
    message = Asker(secure_json={"token": "hunter2"}).context()
    context = PluginContext.from_proto(message)
    assert context.data_source
    assert context.data_source.secure_json == {"token": "hunter2"}
    assert "hunter" not in repr(context)


@given(path=st.text(st.characters(exclude_characters="?#")), query=st.text(st.characters(exclude_characters="#")))
def test_the_query_string_is_what_follows_the_first_question_mark(path: str, query: str) -> None:
    assert ResourceRequest(path, url=f"{path}?{query}").query == query
    assert ResourceRequest(path, url=path).query == ""
    assert ResourceRequest(path, url=f"{path}?{query}#part").query == query


def test_a_header_is_found_whatever_its_case() -> None:
    request = ResourceRequest("p", headers={"X-Grafana-Org": ("1", "2"), "Empty": ()})
    assert request.header("x-grafana-ORG") == "1"
    assert request.header("empty", "none") == "none"
    assert request.header("missing") == ""


@given(st.binary())
def test_a_certificate_survives_the_handshake_line(certificate: bytes) -> None:
    line = handshake_line("unix", "/tmp/x", certificate)
    assert line.count(b"\n") == 1
    assert b"=" not in line
    assert Handshake.parse(line).certificate_der == certificate
