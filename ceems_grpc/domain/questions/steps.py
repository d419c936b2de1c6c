"""The time steps of usage over time: from quarters of an hour to months of a time zone."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.window import Window

MOST_STEPS = 10_000


class TimeStep(StrEnum):
    """The length of a step, from short to long. Weeks start on Monday."""

    QUARTER_HOUR = "quarter-hour"  # the interval at which CEEMS writes
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def is_within_day(self) -> bool:
        """Whether the step is shorter than a day, so that only units can tell its usage."""
        return self in {TimeStep.QUARTER_HOUR, TimeStep.HOUR}


@dataclass(frozen=True, slots=True)
class TimeSteps:
    """Consecutive steps. ``starts`` and ``end``, the end of the last step, are seconds since the epoch."""

    starts: tuple[int, ...]
    end: int

    def index(self, moment: int) -> int:
        """Return the step that contains a moment. Moments outside belong to the first or the last step."""
        return min(max(bisect_right(self.starts, moment) - 1, 0), len(self.starts) - 1)


_SECONDS = {
    TimeStep.QUARTER_HOUR: 900,
    TimeStep.HOUR: 3_600,
    TimeStep.DAY: 86_400,
    TimeStep.WEEK: 604_800,
    TimeStep.MONTH: 2_678_400,
}
_DEFAULT_POINTS = 500


def fitting_step(
    window: Window, *, interval: float = 0, most: int = 0, shortest: TimeStep = TimeStep.QUARTER_HOUR
) -> TimeStep:
    """Return the shortest step with which a chart of the window is readable; a month if none is long enough.

    ``interval``: seconds that steps last at least. ``most``: the number of steps that the chart has room for, 0 means
    unknown. ``shortest``: no shorter step is chosen.
    """
    points = most if most > 0 else _DEFAULT_POINTS
    wanted = max(interval, (window.end - window.start) / points, _SECONDS[shortest])
    return next((step for step in TimeStep if _SECONDS[step] >= wanted), TimeStep.MONTH)


def steps_of(window: Window, step: TimeStep, zone: tzinfo) -> TimeSteps:
    """Return all steps that the window touches, as the zone counts them."""
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
    if step.is_within_day:
        minutes = moment.minute if step is TimeStep.HOUR else moment.minute % 15
        past = timedelta(minutes=minutes, seconds=moment.second)
        return datetime.fromtimestamp(moment.timestamp() - past.total_seconds(), moment.tzinfo)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if step is TimeStep.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if step is TimeStep.MONTH else day


def _next(start: datetime, step: TimeStep) -> datetime:
    match step:
        case TimeStep.QUARTER_HOUR | TimeStep.HOUR:
            return datetime.fromtimestamp(start.timestamp() + _SECONDS[step], start.tzinfo)
        case TimeStep.DAY:
            return start + timedelta(days=1)
        case TimeStep.WEEK:
            return start + timedelta(days=7)
        case TimeStep.MONTH:
            return (start + timedelta(days=32)).replace(day=1)
