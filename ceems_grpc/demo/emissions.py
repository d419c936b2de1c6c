"""Hourly carbon intensity of electricity, as the emission providers that CEEMS asks would report it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Final

HOUR: Final = 3600

FACTOR_RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {"emaps_total": (30.0, 130.0), "owid_total": (56.04, 56.04), "rte_total": (18.0, 95.0), "wt_total": (150.0, 420.0)}
)
"""Lowest and highest factor of each provider in gCO2e per kWh: Electricity Maps, Our World in Data (one constant
a year), RTE eCO2mix and WattTime (marginal, hence higher)."""


class CarbonIntensity:
    """Carbon intensity of each hour in a span of time, by provider, with fast means over any period.

    `start` and `end` are Unix seconds. It varies between days (weather, season) and hours (demand).
    """

    def __init__(self, random: Random, start: int, end: int) -> None:
        self._first_hour = start // HOUR
        hours = end // HOUR - self._first_hour + 1
        self._sums = {provider: _running_sums(random, provider, self._first_hour, hours) for provider in FACTOR_RANGES}

    def mean(self, provider: str, start: int, end: int) -> float:
        """Return the mean factor in gCO2e per kWh over the hours that [start, end] touches; both are in the span."""
        sums = self._sums[provider]
        first = start // HOUR - self._first_hour
        last = end // HOUR - self._first_hour + 1
        return (sums[last] - sums[first]) / (last - first)


def _running_sums(random: Random, provider: str, first_hour: int, hours: int) -> list[float]:
    low, high = FACTOR_RANGES[provider]
    sums = [0.0]
    weather = 0.5
    for hour in range(first_hour, first_hour + hours):
        if hour % 24 == 0 or len(sums) == 1:
            weather = min(1.0, max(0.0, 0.6 * weather + 0.4 * random.random() + random.gauss(0.0, 0.08)))
        # Demand peaks around 07:00 and 18:00 UTC and is lowest at night.
        demand = 0.5 - 0.3 * math.cos((hour % 24 - 2) / 24 * math.tau) + 0.2 * math.sin((hour % 24 - 4) / 12 * math.tau)
        level = 0.7 * weather + 0.3 * min(1.0, max(0.0, demand))
        sums.append(sums[-1] + low + (high - low) * level)
    return sums
