"""The growth of a value that is sampled at a steady rate, with its uncertainty."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Consecutive samples are correlated and would make the interval too narrow; medians of long blocks are not.
_BLOCKS = 20
_STUDENT_95 = 2.101  # the quantile of Student's distribution for 95 % on both sides, with 18 degrees of freedom


@dataclass(frozen=True)
class Trend:
    """A slope, in units of the value per hour, and half the width of its 95 % confidence interval."""

    slope: float
    margin: float

    @property
    def lowest(self) -> float:
        """The lower end of the interval: the value grows at least this fast."""
        return self.slope - self.margin

    @property
    def highest(self) -> float:
        """The upper end of the interval: the value grows at most this fast."""
        return self.slope + self.margin


def trend(samples: Sequence[float], interval: float) -> Trend | None:
    """Fit a line through the medians of 20 blocks of samples that are ``interval`` seconds apart; None if too few."""
    length = len(samples) // _BLOCKS
    if not length:
        return None
    blocks = [samples[index * length : (index + 1) * length] for index in range(_BLOCKS)]
    values = [statistics.median(block) for block in blocks]
    hours = [(index + 0.5) * length * interval / 3600 for index in range(_BLOCKS)]
    slope, start = statistics.linear_regression(hours, values)
    errors = (value - slope * hour - start for hour, value in zip(hours, values, strict=True))
    middle = statistics.fmean(hours)
    spread = sum((hour - middle) ** 2 for hour in hours)
    return Trend(slope, _STUDENT_95 * math.sqrt(sum(error**2 for error in errors) / (_BLOCKS - 2) / spread))
