"""Adds up units to the rows of daily_usage and usage, as ceems_api_server does when it updates.

Each unit yields a vector of numbers; the vectors of a cluster are added element by element. Usage is spread evenly over
the UTC days in which the unit ran. The unit and its updates count on the day of its last update. A mean is kept as the
sum of value times weight and the sum of the weights; the weights are the values in total_time_seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from operator import add
from typing import Final, NamedTuple

from ceems_grpc.demo.clock import DAY, SiteClock
from ceems_grpc.demo.people import Member
from ceems_grpc.demo.text import number
from ceems_grpc.demo.work import Cluster

Vector = list[float]
Row = tuple[str | int, ...]

# Places of a vector. The flags count units that have a measurement, so that a key appears only if one has it.
UNITS: Final = 0
UPDATES: Final = 1
TIMES: Final = slice(2, 7)  # in the order of TIME_KEYS
CPU: Final = slice(7, 13)  # flag, usage x weight, weight, memory usage x weight, weight, energy
GPU: Final = slice(13, 19)  # the same
IO: Final = slice(19, 24)  # flag, written bytes and requests, read bytes and requests
NETWORK: Final = slice(24, 29)  # flag, ingress bytes and packets, egress bytes and packets
EMISSIONS: Final = 29  # CPU emissions by provider, then GPU emissions by provider

TIME_KEYS: Final = ("alloc_cpumemtime", "alloc_cputime", "alloc_gpumemtime", "alloc_gputime", "walltime")

USAGE_COLUMNS: Final = (
    *("resource_manager", "cluster_id", "num_units", "project", "groupname", "username"),
    *("total_time_seconds", "avg_cpu_usage", "avg_cpu_mem_usage"),
    *("total_cpu_energy_usage_kwh", "total_cpu_emissions_gms", "avg_gpu_usage", "avg_gpu_mem_usage"),
    *("total_gpu_energy_usage_kwh", "total_gpu_emissions_gms", "total_io_write_stats", "total_io_read_stats"),
    *("total_ingress_stats", "total_egress_stats", "num_updates", "last_updated_at"),
)
"""Columns of the rows that this module makes, for usage and daily_usage alike."""


class _Group(NamedTuple):
    cluster: str
    username: str
    project: str


class UsageTotals:
    """Sums of all units by cluster, user and project, for each UTC day and in total.

    Units must be added in the order of their start times. A day is then complete when a unit of a later day is
    added, and only a few days are in memory.
    """

    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock
        self._days: defaultdict[int, dict[_Group, Vector]] = defaultdict(dict)
        self._all: dict[_Group, Vector] = {}
        self._updated: dict[_Group, int] = {}
        self._origin: dict[_Group, tuple[Cluster, Member]] = {}

    def add(self, cluster: Cluster, member: Member, ran: tuple[int, int], updated: int, vector: Vector) -> None:
        """Add the vector of one unit that ran from one second to another, and was last updated at `updated`."""
        group = _Group(cluster.id, member.user.name, member.project)
        for day, share in _shares(ran, updated):
            part = [value * share for value in vector]
            part[UNITS], part[UPDATES] = vector[UNITS : UPDATES + 1] if day == updated // DAY else (0, 0)
            self._add(self._days[day], group, part)
        if updated > self._updated.get(group, 0):
            self._updated[group] = updated
            self._origin[group] = (cluster, member)

    @staticmethod
    def _add(totals: dict[_Group, Vector], group: _Group, vector: Vector) -> None:
        sums = totals.get(group)
        totals[group] = vector if sums is None else list(map(add, sums, vector))

    def daily_rows(self, before: int | None = None) -> Iterator[Row]:
        """Take out the days that ended at or before `before` (Unix seconds; None: all) as rows of daily_usage."""
        for day in sorted(self._days):
            if before is not None and (day + 1) * DAY > before:
                return
            midnight = self._clock.local(day * DAY)
            for group, vector in sorted(self._days.pop(day).items()):
                self._add(self._all, group, vector)
                yield self._row(group, vector, midnight)

    def usage_rows(self) -> Iterator[Row]:
        """Return the rows of usage, once all days have been taken out."""
        for group, vector in sorted(self._all.items()):
            yield self._row(group, vector, self._clock.local(self._updated[group]))

    def _row(self, group: _Group, vector: Vector, updated: str) -> Row:
        cluster, member = self._origin[group]
        half = EMISSIONS + len(cluster.providers)
        times = ",".join(f'"{key}":{number(value)}' for key, value in zip(TIME_KEYS, vector[TIMES], strict=True))
        return (
            *(cluster.manager, cluster.id, int(vector[UNITS]), member.project, member.user.group, member.user.name),
            f"{{{times}}}",
            *_processor(vector[CPU], cluster.providers, vector[EMISSIONS:half]),
            *_processor(vector[GPU], cluster.providers, vector[half:]),
            *_traffic(vector[IO], "requests"),
            *_traffic(vector[NETWORK], "packets"),
            *(int(vector[UPDATES]), updated),
        )


def _shares(ran: tuple[int, int], updated: int) -> Iterator[tuple[int, float]]:
    """Return the UTC days of a run, and the share of the run in each. The day of the update is always included."""
    start, end = ran
    first, last = min(start, updated) // DAY, updated // DAY
    if first == last or end <= start:
        yield last, 1.0
        return
    for day in range(first, last + 1):
        share = max(0, min(end, (day + 1) * DAY) - max(start, day * DAY)) / (end - start)
        if share or day == last:
            yield day, share


def _processor(sums: Vector, providers: tuple[str, ...], emissions: Vector) -> tuple[str, str, str, str]:
    """Return the columns of mean use, mean memory use, energy and emissions of the CPUs, or of the GPUs."""
    measured, usage, usage_weight, memory, memory_weight, energy = sums
    if not measured:
        return ("{}", "{}", "{}", "{}")
    shares = ",".join(f'"{name}":{number(value)}' for name, value in zip(providers, emissions, strict=True))
    return (
        f'{{"global":{number(usage / usage_weight if usage_weight else 0)}}}',
        f'{{"global":{number(memory / memory_weight if memory_weight else 0)}}}',
        f'{{"total":{number(energy)}}}',
        f"{{{shares}}}",
    )


def _traffic(sums: Vector, unit: str) -> tuple[str, str]:
    measured, out_bytes, out_count, in_bytes, in_count = sums
    if not measured:
        return ("{}", "{}")
    return (
        f'{{"bytes":{number(out_bytes)},"{unit}":{number(out_count)}}}',
        f'{{"bytes":{number(in_bytes)},"{unit}":{number(in_count)}}}',
    )
