import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.cli.output.values import text_of

UNITS = ["", "percent", "kwatth", "massg", "s", "bytes", "short", "suffix: kWh/h"]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "s", ""),
        ("alice", "", "alice"),
        (45.4246, "percent", "45.4 %"),
        (0.0, "percent", "0.0 %"),
        (0.0158, "kwatth", "15.8 Wh"),
        (4.5e-05, "kwatth", "0.045 Wh"),
        (1219.0, "kwatth", "1.22 MWh"),
        (0.0, "kwatth", "0 kWh"),
        (8.62, "massg", "8.62 g"),
        (42_200.0, "massg", "42.2 kg"),
        (3.2e6, "massg", "3.20 t"),
        (90.0, "s", "1.50 min"),
        (192_740.0, "s", "2.23 d"),
        (771_837_955.0, "bytes", "736 MiB"),
        (17_179_869_184, "", "17,179,869,184"),
        (79.0, "short", "79"),
        (12.5, "short", "12.5"),
        (7.567e15, "suffix: MB·s", "7,567 T MB·s"),
        (-2.5, "kwatth", "-2.50 kWh"),
        (datetime(2026, 11, 23, 9, 5, 59, tzinfo=UTC), "dateTimeAsIso", "2026-11-23 09:05"),
        (datetime(2026, 11, 23, 0, 5, tzinfo=timezone(timedelta(hours=1))), "dateTimeAsIso", "2026-11-22 23:05"),
    ],
)
def test_values(value: object, unit: str, expected: str) -> None:
    assert text_of(value, unit) == expected


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(UNITS))
def test_every_number_has_a_text(value: float, unit: str) -> None:
    text = text_of(value, unit)
    assert text == text.strip() != ""
    if math.isfinite(value) and value < 0 and round(value, 1):
        assert text.startswith("-")


@given(st.floats(1, 1e9), st.sampled_from(["kwatth", "massg", "bytes", "s"]))
def test_three_digits_count(value: float, unit: str) -> None:
    number, name = text_of(value, unit).split()
    factors = {"kWh": 1, "MWh": 1e3, "GWh": 1e6, "g": 1, "kg": 1e3, "t": 1e6, "s": 1, "min": 60, "h": 3600, "d": 86400}
    factors |= {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    assert float(number.replace(",", "")) * factors[name] == pytest.approx(value, rel=0.006)
