"""DuckDB finds the bucket of every value, also of one that equals a bound."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest

from ceems_grpc.store.columnar.layout import Layout, TableLayout
from ceems_grpc.store.duckdb.buckets import corrected, guess
from ceems_grpc.store.duckdb.dialect import DuckSql, NotInMirror
from ceems_grpc.store.plan import Table

PARIS = ZoneInfo("Europe/Paris")
_JANUARY = datetime(2025, 1, 1, tzinfo=PARIS)
MONTHS = tuple(int(datetime(2020 + at // 12, at % 12 + 1, 1, tzinfo=PARIS).timestamp()) for at in range(72))
DAYS = tuple(int((_JANUARY + timedelta(days=day)).timestamp()) for day in range(365))
LOGARITHMIC = tuple((1.01 / 0.99) ** place for place in range(-1037, 2073))
EVEN = {
    "months": MONTHS,
    "days": DAYS,
    "hours": tuple(range(0, 3_600 * 9_000, 3_600)),
    "logarithmic": LOGARITHMIC,
    "logarithmic from 0": (0.0, *LOGARITHMIC),
    "tenths": tuple(place / 10 for place in range(-50, 50)),
}
UNEVEN = {"few": (-1.5, 0.0, 2.0, 1e9), "squares": tuple(float(place**2) for place in range(100))}


def values_near(bounds: tuple[float, ...]) -> Iterator[float]:
    """Yield the bounds, the numbers next to them, and numbers in and outside the buckets."""
    for bound in map(float, bounds):
        yield from (bound, math.nextafter(bound, -math.inf), math.nextafter(bound, math.inf), bound * 1.003)
    yield from (0.0, -0.0, -1.0, 5e-324, -5e-324, 1e300, -1e300, 1.7976931348623157e308, math.inf, -math.inf)


@pytest.mark.parametrize("bounds", EVEN.values(), ids=EVEN)
def test_the_bucket_of_every_value(bounds: tuple[float, ...]) -> None:
    whole = all(isinstance(bound, int) for bound in bounds)
    near = values_near(bounds)
    values = sorted({int(value) for value in near if abs(value) < 2**62} if whole else near)
    kind, position = "BIGINT" if whole else "DOUBLE", guess("v", bounds)
    assert position is not None
    rows = f"SELECT unnest(?::{kind}[]) AS v, ?::{kind}[] AS bounds"
    with duckdb.connect() as connection:
        statement = f"SELECT v, {corrected('v', position, 'bounds')} FROM ({rows})"
        found = connection.execute(statement, [values, list(bounds)]).fetchall()
    assert [bucket for _, bucket in found] == [bisect_right(bounds, value) for value, _ in found]
    assert len(found) == len(values) > len(bounds)


@pytest.mark.parametrize("bounds", UNEVEN.values(), ids=UNEVEN)
def test_the_bucket_is_not_calculated_where_bounds_grow_unevenly(bounds: tuple[float, ...]) -> None:
    assert guess("v", bounds) is None


def test_very_many_uneven_bounds_are_left_to_the_file() -> None:
    layout = Layout("UTC", 0, {"units": TableLayout(("id",), {})})
    with pytest.raises(NotInMirror):
        DuckSql(Table.UNITS, layout).bucket("v", tuple(float(place**2) for place in range(1_000)))
