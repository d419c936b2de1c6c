"""A decoded plan equals the encoded one, and anything that is not a plan is refused."""

import math
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceems_grpc.demo.schema import LATEST_VERSION
from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES
from ceems_grpc.store.columnar.zone_text import read_zone, write_zone
from ceems_grpc.store.plan import Compare, Histogram, In, Order, Scan, Table
from ceems_grpc.store.plan.codec import COLUMNS, decode_plan, encode_plan
from tests.sources.test_same_answers import few
from tests.support.ceems_schema import create_schema
from tests.support.plans import Plan, plans


@settings(few, max_examples=50)
@given(plans(1_761_440_400))
def test_a_plan_is_decoded_as_it_was_encoded(plan: Plan) -> None:
    assert decode_plan(encode_plan(plan)) == plan


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e308, -0.0, 5e-324])
def test_every_number_can_be_compared_with(value: float) -> None:
    plan = Scan(Table.UNITS, ("uuid",), Compare("elapsed", "<", value), (Order("uuid"),))
    assert decode_plan(encode_plan(plan)) == plan


def test_any_text_can_be_looked_for() -> None:
    plan = Scan(Table.UNITS, ("uuid",), In("name", ("\U0001f600", "\ufffe", "\0", "é", '"', "\u2028")))
    assert decode_plan(encode_plan(plan)) == plan


def test_half_of_a_surrogate_pair_is_not_encoded() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_plan(Scan(Table.UNITS, ("uuid",), In("name", ("\ud800",))))


def test_not_a_number_travels_too() -> None:
    plan = decode_plan(encode_plan(Scan(Table.UNITS, ("uuid",), Compare("elapsed", "<", float("nan")))))
    assert isinstance(plan, Scan)
    assert isinstance(plan.where, Compare)
    assert math.isnan(plan.where.value)


_HISTOGRAM: dict[str, Any] = {"is": "Histogram", "by": [], "value": None, "bounds": [], "where": {"is": "Running"}}
_SCAN: dict[str, Any] = {"is": "Scan", "table": "units", "columns": ["uuid"]}


def _nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"is": "AllOf", "parts": []}
    for _ in range(depth):
        inner = {"is": "AllOf", "parts": [inner]}
    return {**_SCAN, "where": inner}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"\xc1",
        b"\x82",
        b"\xa2\xed\xa0",
        b"\x81\xa2is\xa4Sc\xffn",
        b'{"is": "Scan"}',
        b"\x91" * 1_000_000,
    ],
)
def test_what_is_not_messagepack_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"this is not a plan: ."):
        decode_plan(data)


@pytest.mark.parametrize(
    "value",
    [
        None, [], {}, 7, "Scan", b"Scan",
        {"is": "Scan"},
        {"is": "object"},
        {"is": "Count", "name": "x"},
        {"is": "PlanPart"},
        {"table": "units", "columns": ["uuid"]},
        {**_SCAN, "table": "sqlite_master"},
        {**_SCAN, "columns": "uuid"},
        {**_SCAN, "columns": [5]},
        {**_SCAN, "columns": ["sql"]},
        {**_SCAN, "limit": "1; DROP"},
        {**_SCAN, "limit": True},
        {**_SCAN, "limit": 2**63},
        {**_SCAN, "more": 1},
        {**_SCAN, "order": [{"is": "Order", "operand": "nothing"}]},
        {**_SCAN, "where": None},
        {**_SCAN, "where": {"is": "Key", "column": "a", "name": "b"}},
        {**_SCAN, "where": {"is": "In", "operand": "uuid", "values": [1]}},
        {**_SCAN, "where": {"is": "In", "operand": {"is": "Key", "column": "x", "name": "uuid"}, "values": []}},
        {**_SCAN, "where": {"is": "PairIn", "columns": ["uuid"], "pairs": []}},
        {**_SCAN, "where": {"is": "PairIn", "columns": ["uuid", "name"], "pairs": [["x"]]}},
        {**_SCAN, "where": {"is": "Compare", "operand": "elapsed", "operator": "LIKE", "value": 1.0}},
        {**_SCAN, "where": {"is": "Compare", "operand": "elapsed", "operator": "=", "value": "1"}},
        {**_SCAN, "where": {"is": "Within", "instant": "created", "start": 0, "end": 1}},
        {**_SCAN, "where": {"is": "Within", "instant": "ended", "start": 0, "end": 2**64 - 1}},
        {**_HISTOGRAM, "bounds": [1.0, 1.0]},
        {**_HISTOGRAM, "bounds": [2.0, 1.0]},
        {**_HISTOGRAM, "bounds": [1.0, math.inf]},
        {**_HISTOGRAM, "bounds": [math.nan]},
        {**_HISTOGRAM, "bounds": ["1"]},
        {**_HISTOGRAM, "starts": [7, 7]},
        {**_HISTOGRAM, "value": {"is": "Key", "column": "sql", "name": "total"}},
        {**_HISTOGRAM, "at": "created"},
        _nested(200),
    ],
)  # fmt: skip
def test_what_is_not_a_plan_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_plan(msgspec.msgpack.encode(value))


def test_the_histogram_that_the_refused_ones_differ_from_is_a_plan() -> None:
    assert isinstance(decode_plan(msgspec.msgpack.encode({**_HISTOGRAM, "bounds": [1.0], "starts": [7]})), Histogram)


def test_conditions_nest_as_deep_as_questions_do() -> None:
    assert isinstance(decode_plan(msgspec.msgpack.encode(_nested(20))), Scan)


@given(st.sampled_from(["Europe/Paris", "Asia/Kolkata", "UTC"]))
def test_zones_travel_by_name(name: str) -> None:
    assert read_zone(write_zone(ZoneInfo(name))) == ZoneInfo(name)


def test_zones_without_a_name_travel_as_offsets() -> None:
    zone = timezone(timedelta(hours=5, minutes=45))
    assert str(read_zone(write_zone(SEVERAL_ZONES))) == str(SEVERAL_ZONES)
    assert str(read_zone(write_zone(UTC))) == "UTC"
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert moment.astimezone(read_zone(write_zone(zone))).utcoffset() == timedelta(hours=5, minutes=45)
    with pytest.raises(ValueError, match="no zone"):
        read_zone("Mars/Olympus")


def test_all_columns_of_all_versions_are_known() -> None:
    for version in range(1, LATEST_VERSION + 1):
        with closing(sqlite3.connect(":memory:")) as connection:
            create_schema(connection, version)
            for table in Table:
                names = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
                assert names <= set(COLUMNS[table]), (version, table)
