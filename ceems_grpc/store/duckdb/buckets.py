"""Buckets of values in DuckDB's SQL, which has no function that looks for a value in sorted bounds.

Where bounds grow evenly, as steps and logarithmic buckets do, the bucket is calculated. Since rounding can put a value
near a bound into the bucket beside its own, the value is then compared with the bounds: the result is exact.
"""

import math
from collections.abc import Sequence

MOST_COMPARED = 16
"""So many bounds are compared with a value sooner than its bucket is calculated."""
MOST_BRANCHES = 128
_LARGEST_ERROR = 0.9  # of a calculated position, so that it is off by one bucket at most


def guess(value: str, bounds: Sequence[float]) -> str | None:
    """Write the position (counted from 1) of the last bound that is not above a column, off by one at most.

    A value below the first bound has the position 1. None where the bounds do not grow evenly.
    """
    positive = next((place for place, bound in enumerate(bounds) if bound > 0), len(bounds))
    evenly = _linear(value, bounds)
    if evenly is not None or positive > 1:
        return evenly
    return _geometric(value, bounds[positive:], positive)


def corrected(value: str, position: str, bounds: str) -> str:
    """Write how many of a list of bounds are not above a column, of which `guess` gives the position."""
    off = f"CASE WHEN {value} < {bounds}[{position}] THEN -1 WHEN {value} >= {bounds}[{position} + 1] THEN 1 ELSE 0 END"
    return f"(CASE WHEN {value} < {bounds}[1] THEN 0 ELSE {position} + {off} END)"


def _linear(value: str, bounds: Sequence[float]) -> str | None:
    last = len(bounds) - 1
    width = (bounds[-1] - bounds[0]) / last
    if any(abs((bound - bounds[0]) / width - place) > _LARGEST_ERROR for place, bound in enumerate(bounds)):
        return None
    return _clamped(f"({value} - {_written(bounds[0])}) / {_written(width)}", last, 1)


def _geometric(value: str, bounds: Sequence[float], before: int) -> str | None:
    last = len(bounds) - 1
    if last < 1:
        return None
    first, rate = bounds[0], math.log(bounds[-1] / bounds[0]) / last
    if any(abs(math.log(bound / first) / rate - place) > _LARGEST_ERROR for place, bound in enumerate(bounds)):
        return None
    # DuckDB refuses the logarithm of 0, also in a branch that is not taken.
    ratio = f"greatest({value}, {_written(first)}) / {_written(first)}"
    return _clamped(f"ln({ratio}) / {_written(rate)}", last, before + 1)


def _clamped(position: str, last: int, first: int) -> str:
    return f"(CAST(least(greatest(floor({position}), 0), {last}) AS BIGINT) + {first})"


def _written(number: float) -> str:
    return f"{number:.17e}"  # with an exponent: other literals are decimals
