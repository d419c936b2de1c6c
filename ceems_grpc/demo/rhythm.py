"""When units start: day and night, weekdays and weekends, busy and quiet days."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Final

from ceems_grpc.demo.clock import DAY, SiteClock

HOUR: Final = 3600
_THURSDAY: Final = 3  # weekday of 1970-01-01, counted from Monday


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Activity at night and at the weekend, as a fraction (0 to 1) of the peak of a weekday."""

    night: float
    weekend: float

    def weight(self, local: int) -> float:
        """Return the relative activity at a local time, in seconds since 1970-01-01T00:00:00 local."""
        day, second = divmod(local, DAY)
        # A smooth curve over the day that peaks at 14:30 and is flat at night.
        daylight = max(0.0, math.cos((second / HOUR - 14.5) / 24 * math.tau) + 0.35) / 1.35
        weekday = (day + _THURSDAY) % 7
        return (self.night + (1.0 - self.night) * daylight) * (self.weekend if weekday >= 5 else 1.0)


def hourly_counts(random: Random, clock: SiteClock, rhythm: Rhythm, *, start: int, hours: int, total: int) -> list[int]:
    """Spread `total` starts over that many hours from `start` (Unix seconds). The hourly counts add up to it."""
    sums: list[float] = []
    reached = 0.0
    busy = 1.0
    for hour in range(hours):
        if hour % 24 == 0:
            busy = math.exp(random.gauss(0.0, 0.25))
        middle = start + hour * HOUR + HOUR // 2
        reached += rhythm.weight(middle + clock.offset(middle)) * busy * (0.6 + 0.8 * random.random())
        sums.append(reached)
    counts: list[int] = []
    given = 0
    for place, value in enumerate(sums, start=1):
        until = total if place == hours else int(total * value / reached)
        counts.append(until - given)
        given = until
    return counts
