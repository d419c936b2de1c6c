"""The time steps of usage over time: hours, days, weeks and months of a time zone."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.window import Window

MOST_STEPS = 10_000


class TimeStep(StrEnum):
    """The length of a step. Weeks start on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class TimeSteps:
    """Consecutive steps. ``starts`` and ``end``, the end of the last step, are seconds since the epoch."""

    starts: tuple[int, ...]
    end: int

    def index(self, moment: int) -> int:
        """Return the step that contains a moment. Moments outside belong to the first or the last step."""
        return min(max(bisect_right(self.starts, moment) - 1, 0), len(self.starts) - 1)


def steps_of(window: Window, step: TimeStep, zone: tzinfo) -> TimeSteps:
    """Return all steps that the window touches, in hours, days, weeks or months of the zone."""
    if window.end < window.start:
        raise bad_data("the window ends before it starts")
    try:
        return _steps_of(window, step, zone)
    except (OverflowError, ValueError):  # the year 10000, which dates cannot have
        raise bad_data("the window extends beyond the year 9999") from None


def _steps_of(window: Window, step: TimeStep, zone: tzinfo) -> TimeSteps:
    start = _floor(datetime.fromtimestamp(window.start, zone), step)
    starts: list[int] = []
    while (moment := int(start.timestamp())) <= window.end:
        if not starts or moment > starts[-1]:
            starts.append(moment)
        if len(starts) > MOST_STEPS:
            raise bad_data(f"the window has more than {MOST_STEPS} steps of one {step}; choose a longer step")
        start = _next(start, step)
    return TimeSteps(tuple(starts), int(start.timestamp()))


def _floor(moment: datetime, step: TimeStep) -> datetime:
    # Hours are floored as moments, so that an hour that occurs twice gives two steps.
    if step is TimeStep.HOUR:
        past = timedelta(minutes=moment.minute, seconds=moment.second)
        return datetime.fromtimestamp(moment.timestamp() - past.total_seconds(), moment.tzinfo)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if step is TimeStep.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if step is TimeStep.MONTH else day


def _next(start: datetime, step: TimeStep) -> datetime:
    match step:
        case TimeStep.HOUR:
            return datetime.fromtimestamp(start.timestamp() + 3600, start.tzinfo)
        case TimeStep.DAY:
            return start + timedelta(days=1)
        case TimeStep.WEEK:
            return start + timedelta(days=7)
        case TimeStep.MONTH:
            return (start + timedelta(days=32)).replace(day=1)
