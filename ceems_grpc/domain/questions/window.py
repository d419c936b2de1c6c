"""Time windows. All moments are whole seconds since the epoch; both ends belong to the window."""

from dataclasses import dataclass
from datetime import timedelta

from ceems_grpc.domain.errors import bad_data

DAY = 86_400
LAST_SECOND = 253_402_300_799  # the end of the year 9999, the last that dates can have
ROUNDING = 900  # usage windows are widened to multiples of a quarter of an hour, the interval at which CEEMS writes
_MILLISECONDS_FROM = 10**11  # from here on an integer means milliseconds: as seconds it would be in the year 5138


@dataclass(frozen=True, slots=True)
class Window:
    """From start to end."""

    start: int
    end: int

    def rounded(self) -> "Window":
        """Return the window widened to multiples of 900 s."""
        return Window(self.start // ROUNDING * ROUNDING, -(-self.end // ROUNDING) * ROUNDING)


def seconds_of(value: int) -> int:
    """Convert a timestamp of the API, in seconds or milliseconds, to seconds; see `clamp_to_dates`."""
    return clamp_to_dates(value // 1000 if abs(value) >= _MILLISECONDS_FROM else value)


def clamp_to_dates(seconds: int) -> int:
    """Return the nearest moment of the years 1970 to 9999, which contain all rows and all dates."""
    return min(max(seconds, 0), LAST_SECOND)


def make_window(start: int | None, end: int | None, now: int) -> Window:
    """Fill in missing ends: the default end is now, the default start is 24 h before the end."""
    last = now if end is None else end
    return Window(last - DAY if start is None else start, last)


def check_window(window: Window, maximum: timedelta | None) -> None:
    """Raise the API's error for a window that is longer than the configured maximum."""
    if maximum is not None and window.end - window.start > maximum.total_seconds():
        raise bad_data("maximum query window exceeded")
