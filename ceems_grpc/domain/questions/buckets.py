"""The buckets of distributions: bounds that a question gives, or logarithmic buckets.

Logarithmic buckets are those of DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees", VLDB 2019): each is `RATIO` times as wide as the one before, so that one value per bucket
stands for all values of it with a relative error of at most `ACCURACY`. The bounds are the same for all questions, so
counts of several sources or steps are merged by adding them up, without a further error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ceems_grpc.domain.errors import bad_data

ACCURACY = 0.01
RATIO = (1 + ACCURACY) / (1 - ACCURACY)
SMALLEST, LARGEST = 1e-9, 1e18
"""The values between which logarithmic buckets are accurate; smaller ones count as 0, larger ones as the largest."""
MOST_BOUNDS = 100

_POWERS = range(math.floor(math.log(SMALLEST, RATIO)), math.ceil(math.log(LARGEST, RATIO)) + 1)
_POSITIVE = tuple(RATIO**power for power in _POWERS)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets between ``bounds``, which ascend, and one below the first and one from the last bound on.

    A bound belongs to the bucket that it starts. ``zero``: the bucket whose values count as 0; None if there is none.
    """

    bounds: tuple[float, ...]
    zero: int | None = None

    def edges(self, bucket: int) -> tuple[float | None, float | None]:
        """Return the ends of a bucket; None if it has no end."""
        if bucket == self.zero:
            return 0.0, 0.0
        low = self.bounds[bucket - 1] if bucket > 0 else None
        return low, self.bounds[bucket] if bucket < len(self.bounds) else None

    def middle(self, bucket: int) -> float:
        """Return the value that stands for a bucket: the same relative error from both ends."""
        low, high = self.edges(bucket)
        if low is None or high is None:
            return self.bounds[-1] if low is not None else self.bounds[0]
        return 2 * low * high / (low + high) if low and high else 0.0


LOGARITHMIC = Buckets((0.0, *_POSITIVE), zero=1)
"""Logarithmic buckets, with one bucket for all values below 0."""
LOGARITHMIC_BOTH = Buckets((*(-bound for bound in reversed(_POSITIVE)), *_POSITIVE), zero=len(_POSITIVE))
"""Logarithmic buckets on both sides of 0."""


def check_bounds(bounds: Sequence[float]) -> None:
    """Raise a bad_data error for bounds that are too many, are no numbers, or do not ascend."""
    if len(bounds) > MOST_BOUNDS:
        raise bad_data(
            f"bounds: {len(bounds)} values; at most {MOST_BOUNDS}: give fewer, or none for logarithmic buckets"
        )
    if not all(map(math.isfinite, bounds)):
        raise bad_data("bounds: give finite numbers; values beyond the first and the last bound count too")
    if any(low >= high for low, high in pairwise(bounds)):
        raise bad_data("bounds: give the numbers in ascending order, each once")
