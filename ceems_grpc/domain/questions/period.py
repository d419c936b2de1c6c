"""The time range that a question is compared with: the one before it, or the same one a year earlier.

Whole months are compared with whole months, and whole days with whole days, of a time zone: such a range is moved in
local time, so that a day with 23 or 25 hours is one day. Any other range is moved by its own length.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum

from ceems_grpc.domain.questions.steps import TimeStep, TimeSteps
from ceems_grpc.domain.questions.window import Window, clamp_to_dates


class Period(StrEnum):
    """What a time range is compared with."""

    PREVIOUS = "previous"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier time range. ``by_calendar``: it was moved in local time, so hours are matched by day and hour."""

    window: Window
    by_calendar: bool


def earlier(window: Window, period: Period, zone: tzinfo) -> Earlier:
    """Return the time range to compare with.

    The range before a window ends one second before the window starts. No range starts before 1970.
    """
    try:
        start, end = (_local(moment, zone) for moment in (window.start, window.end + 1))  # the end is not included
        if period is Period.YEAR:
            return _between(_months_before(start, 12), _months_before(end, 12), by_calendar=True)
        if _is_month(start) and _is_month(end):
            months = (end.year - start.year) * 12 + end.month - start.month
            return _between(_months_before(start, months), start, by_calendar=True)
        days = _whole_days(start, end)
        if days is None:  # "now-7d to now" is one second longer than seven days
            days = _whole_days(start, _local(window.end, zone))
        if days:
            return _between(start - timedelta(days=days), start, by_calendar=True)
    except (OverflowError, ValueError):  # the year 0 or 10000, which dates cannot have
        pass
    length = window.end + 1 - window.start
    before = Window(clamp_to_dates(window.start - length), clamp_to_dates(window.start - 1))
    return Earlier(before, by_calendar=False)


def matching_steps(
    now: TimeSteps, then: TimeSteps, step: TimeStep, zone: tzinfo, *, by_calendar: bool
) -> list[int | None]:
    """Return for each step of the earlier range the step that it is compared with; None if there is none.

    The first steps are compared with each other, and so on. Hours of a range that was moved by the calendar are matched
    by day and hour, so that a day with 23 or 25 hours does not shift the days after it.
    """
    if not step.is_within_day or not by_calendar:
        count = len(now.starts)
        return [index if index < count else None for index in range(len(then.starts))]
    places = {hour: index for index, hour in enumerate(_hours(now, zone))}
    return [places.get(hour) for hour in _hours(then, zone)]


def _hours(steps: TimeSteps, zone: tzinfo) -> list[tuple[int, int, int, int]]:
    local = [_local(start, zone) for start in steps.starts]
    first: date = local[0].date()
    return [((each.date() - first).days, each.hour, each.minute, each.fold) for each in local]


def _local(moment: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(moment, zone)


def _is_month(moment: datetime) -> bool:
    return (moment.day, moment.hour, moment.minute, moment.second) == (1, 0, 0, 0)


def _whole_days(start: datetime, end: datetime) -> int | None:
    """Return the number of days between two moments with the same time of day; None for other moments."""
    return (end.date() - start.date()).days if start.time() == end.time() and end > start else None


def _months_before(moment: datetime, months: int) -> datetime:
    """Return the same day and time so many months earlier. A month without such a day gives its last day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    first_of_next = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    last = (first_of_next - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _between(start: datetime, end: datetime, *, by_calendar: bool) -> Earlier:
    first, last = clamp_to_dates(int(start.timestamp())), clamp_to_dates(int(end.timestamp()) - 1)
    return Earlier(Window(first, max(first, last)), by_calendar)
