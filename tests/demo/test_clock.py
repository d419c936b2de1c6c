"""Times as texts name the instant from which they were made, also when clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.demo.clock import SiteClock, elapsed

ZONES = ("Europe/Paris", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham")
SECONDS = st.integers(
    min_value=int(datetime(2015, 1, 1, tzinfo=UTC).timestamp()),
    max_value=int(datetime(2036, 1, 1, tzinfo=UTC).timestamp()),
)
# An hour before to an hour after the change from summer time in Paris on 2026-10-25.
REPEATED_HOUR = st.integers(min_value=1_792_886_400, max_value=1_792_893_600)


@given(zone=st.sampled_from(ZONES), seconds=SECONDS | REPEATED_HOUR)
def test_text_with_offset_is_the_instant(zone: str, seconds: int) -> None:
    text = SiteClock(zone).with_offset(seconds)
    assert datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp() == seconds


@given(zone=st.sampled_from(ZONES), seconds=SECONDS | REPEATED_HOUR)
def test_local_text_is_what_the_zone_shows(zone: str, seconds: int) -> None:
    clock = SiteClock(zone)
    local = datetime.fromtimestamp(seconds, ZoneInfo(zone))
    assert clock.local(seconds) == local.strftime("%Y-%m-%dT%H:%M:%S")
    assert clock.utc(seconds) == datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S%z")
    delta = local.utcoffset()
    assert delta is not None
    assert clock.offset(seconds) == delta.total_seconds()


def test_the_repeated_hour_has_two_offsets() -> None:
    clock = SiteClock("Europe/Paris")
    assert clock.with_offset(1_792_888_200) == "2026-10-25T02:30:00+0200"
    assert clock.with_offset(1_792_891_800) == "2026-10-25T02:30:00+0100"


@given(st.integers(min_value=0, max_value=10**9))
def test_elapsed_can_be_read_back(seconds: int) -> None:
    days, dash, clock = elapsed(seconds).rpartition("-")
    assert bool(dash) == (seconds >= 86_400)
    hours, minutes, rest = map(int, clock.split(":"))
    assert len(clock) == 8
    assert int(days or 0) * 86_400 + hours * 3600 + minutes * 60 + rest == seconds


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../etc/passwd"])
def test_unknown_zones_are_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="Unknown time zone"):
        SiteClock(zone)
