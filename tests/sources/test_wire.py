"""Plans travel unchanged, and what is no plan is refused."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceems_grpc.demo.schema import LATEST_VERSION, create_schema
from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES
from ceems_grpc.store.columnar.zone_text import read_zone, write_zone
from ceems_grpc.store.plan import Compare, In, Order, Scan, Table
from ceems_grpc.store.plan.codec import COLUMNS, read_plan, write_plan
from tests.sources.test_same_answers import few
from tests.support.plans import Plan, plans


@settings(few, max_examples=50)
@given(plans(1_761_440_400))
def test_a_plan_is_read_as_it_was_written(plan: Plan) -> None:
    assert read_plan(write_plan(plan)) == plan


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e308, -0.0, 5e-324])
def test_every_number_can_be_compared_with(value: float) -> None:
    plan = Scan(Table.UNITS, ("uuid",), Compare("elapsed", "<", value), (Order("uuid"),))
    assert read_plan(write_plan(plan)) == plan


def test_any_text_can_be_looked_for() -> None:
    plan = Scan(Table.UNITS, ("uuid",), In("name", ("\ud800", "\0", "é", '"', "\u2028")))
    assert read_plan(write_plan(plan)) == plan


def _nested(depth: int) -> bytes:
    inner: dict[str, Any] = {"is": "AllOf", "parts": []}
    for _ in range(depth):
        inner = {"is": "AllOf", "parts": [inner]}
    scan = {"is": "Scan", "table": "units", "columns": ["uuid"], "where": inner}
    return json.dumps(scan).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[]", b"7", b"\xff", b'{"is": "Scan"}', b'{"is": "object"}',
        b'{"is": "Count", "name": "x"}',
        b'{"is": "Scan", "table": "sqlite_master", "columns": ["sql"]}',
        b'{"is": "Scan", "table": "units", "columns": "uuid"}',
        b'{"is": "Scan", "table": "units", "columns": [5]}',
        b'{"is": "Scan", "table": "units", "columns": ["uuid"], "limit": "1; DROP"}',
        b'{"is": "Scan", "table": "units", "columns": ["uuid"], "limit": true}',
        b'{"is": "Scan", "table": "units", "columns": ["uuid"], "more": 1}',
        b'{"is": "Scan", "table": "units", "columns": ["uuid"], "where": {"is": "Key", "column": "a", "name": "b"}}',
        _nested(200),
    ],
)  # fmt: skip
def test_what_is_no_plan_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_plan(text)


def test_conditions_nest_as_deep_as_questions_do() -> None:
    assert isinstance(read_plan(_nested(20)), Scan)


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
