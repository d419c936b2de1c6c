"""The earlier time range of a comparison, and which of its steps is compared with which."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.domain.questions.period import Period, earlier, matching_steps
from ceems_grpc.domain.questions.steps import TimeStep, steps_of
from ceems_grpc.domain.questions.window import Window

PARIS = ZoneInfo("Europe/Paris")  # clocks change on 2026-03-29 and 2026-10-25


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp())


def window(start: str, end: str) -> Window:
    """Return the window from one local time to another; a date as the end is not included."""
    return Window(at(start), at(end) - (1 if len(end) == 10 else 0))


@pytest.mark.parametrize(
    ("period", "asked", "wanted"),
    [
        ("previous", ("2026-03-01", "2026-04-01"), ("2026-02-01", "2026-03-01")),
        ("previous", ("2026-01-01", "2026-04-01"), ("2025-10-01", "2026-01-01")),
        ("previous", ("2026-03-29", "2026-03-30"), ("2026-03-28", "2026-03-29")),
        ("previous", ("2026-03-30", "2026-03-31"), ("2026-03-29", "2026-03-30")),
        ("previous", ("2026-10-19", "2026-10-26"), ("2026-10-12", "2026-10-19")),
        ("previous", ("2026-03-27T10:30:00", "2026-04-03T10:30:00"), ("2026-03-20T10:30:00", "2026-03-27T10:29:59")),
        ("previous", ("2026-03-29T08:00:00", "2026-03-29T11:59:59"), ("2026-03-29T04:00:00", "2026-03-29T07:59:59")),
        ("year", ("2026-03-01", "2026-04-01"), ("2025-03-01", "2025-04-01")),
        ("year", ("2028-02-01", "2028-03-01"), ("2027-02-01", "2027-03-01")),
        ("year", ("2028-02-29", "2028-03-01"), ("2027-02-28", "2027-03-01")),
        ("year", ("2026-10-26T08:00:00", "2026-10-26T09:00:00"), ("2025-10-26T08:00:00", "2025-10-26T09:00:00")),
    ],
)
def test_the_earlier_time_range(period: str, asked: tuple[str, str], wanted: tuple[str, str]) -> None:
    assert earlier(window(*asked), Period(period), PARIS).window == window(*wanted)


@given(start=st.integers(0, 4_102_444_800), length=st.integers(0, 400 * 86_400), period=st.sampled_from(Period))
def test_an_earlier_range_is_about_as_long_and_does_not_overlap(start: int, length: int, period: Period) -> None:
    found = earlier(Window(start, start + length), period, PARIS).window
    assert 0 <= found.start <= found.end
    if period is Period.PREVIOUS and start > 0:
        assert found.end == start - 1
        if found.start > 0:
            assert abs((found.end - found.start) - length) <= 3 * 86_400 + 3_600 + 1  # months and clocks differ


@pytest.mark.parametrize("bounds", [(0, 0), (0, 10**9), (253_402_300_799, 253_402_300_799)])
@pytest.mark.parametrize("period", Period)
def test_the_ends_of_time(bounds: tuple[int, int], period: Period) -> None:
    found = earlier(Window(*bounds), period, PARIS).window
    assert 0 <= found.start <= found.end <= bounds[1]


def matched(now: tuple[str, str], then: tuple[str, str], step: TimeStep, *, by_calendar: bool) -> list[int | None]:
    steps, earlier_steps = (steps_of(window(*each), step, PARIS) for each in (now, then))
    return matching_steps(steps, earlier_steps, step, PARIS, by_calendar=by_calendar)


def test_days_of_a_month_are_compared_with_days_of_another() -> None:
    march, february = ("2026-03-01", "2026-04-01"), ("2026-02-01", "2026-03-01")
    assert matched(march, february, TimeStep.DAY, by_calendar=True) == list(range(28))
    assert matched(february, march, TimeStep.DAY, by_calendar=True) == [*range(28), None, None, None]


def test_hours_are_compared_by_the_clock() -> None:
    short, before = ("2026-03-29", "2026-03-31"), ("2026-03-27", "2026-03-29")  # 03-29 has no hour from 2 to 3
    found = matched(short, before, TimeStep.HOUR, by_calendar=True)
    assert found == [0, 1, None, *range(2, 47)]
    back = matched(before, short, TimeStep.HOUR, by_calendar=True)
    assert back == [0, 1, *range(3, 48)]
    long, usual = ("2026-10-25", "2026-10-27"), ("2026-10-23", "2026-10-25")  # 10-25 has two hours from 2 to 3
    assert matched(long, usual, TimeStep.HOUR, by_calendar=True) == [0, 1, 2, *range(4, 49)]
    assert matched(usual, long, TimeStep.HOUR, by_calendar=True) == [0, 1, 2, None, *range(3, 48)]


def test_other_hours_are_compared_in_their_order() -> None:
    now, then = ("2026-03-29T08:00:00", "2026-03-29T11:59:59"), ("2026-03-29T04:00:00", "2026-03-29T07:59:59")
    assert matched(now, then, TimeStep.HOUR, by_calendar=False) == [0, 1, 2, 3]
