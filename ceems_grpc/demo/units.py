"""Makes the rows of table units, in the order in which the units start."""

from __future__ import annotations

from bisect import bisect
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from ceems_grpc.demo.clock import DAY, SiteClock, elapsed
from ceems_grpc.demo.emissions import CarbonIntensity
from ceems_grpc.demo.people import Member
from ceems_grpc.demo.schema import METRIC_COLUMNS
from ceems_grpc.demo.slurm import is_requeued
from ceems_grpc.demo.text import number
from ceems_grpc.demo.totals import Row, Vector
from ceems_grpc.demo.work import CORE_IDLE_WATTS, GPU_IDLE_WATTS, Cluster, Outcome, Workload

UPDATE_SECONDS: Final = 900
"""How often ceems_api_server updates its database."""
CUTOFF_SECONDS: Final = 60
"""Units shorter than this are ignored (column ignore), as by a cutoff_duration of a minute."""
SCRAPE_SECONDS: Final = 20
"""Units shorter than this end before anything has measured them."""

UNIT_COLUMNS: Final = (
    *("resource_manager", "cluster_id", "uuid", "name", "project", "groupname", "username"),
    *("created_at", "started_at", "ended_at", "created_at_ts", "started_at_ts", "ended_at_ts"),
    *("elapsed", "state", "allocation", "tags"),
    *METRIC_COLUMNS,
    *("ignore", "num_updates", "last_updated_at"),
)
"""Columns of the rows that this module makes."""

_JOULES_PER_KWH: Final = 3.6e6
_CAMPAIGN: Final = 7 * DAY
_WATCHED: Final = 0.6  # chance that the second update of a unit already finds measurements
_NO_CPU = _NO_GPU = (0, 0, 0, 0, 0, 0)
_NO_TRAFFIC = (0, 0, 0, 0, 0)


class DemoUnit(NamedTuple):
    """A unit: its row, who it belongs to, when it was last updated (Unix seconds), and what it adds to totals."""

    row: Row
    member: Member
    updated: int
    vector: Vector


@dataclass(frozen=True, slots=True)
class Updates:
    """The moments at which ceems_api_server ran: every 15 minutes, the last of them at `last` (Unix seconds)."""

    last: int

    def following(self, seconds: int) -> int:
        """Return the first update at or after that second."""
        return seconds + (self.last - seconds) % UPDATE_SECONDS

    def count(self, start: int, last: int) -> int:
        """Return how many updates saw a unit that started at `start` and was updated last at `last`."""
        return (last - self.following(start)) // UPDATE_SECONDS + 1


class _Requeued(NamedTuple):
    workload: Workload
    uuid: str
    name: str
    created: int
    ready: int


class UnitMaker:
    """Makes the units of one cluster."""

    def __init__(
        self, random: Random, cluster: Cluster, clock: SiteClock, intensity: CarbonIntensity, updates: Updates
    ) -> None:
        self._random = random
        self._cluster = cluster
        self._clock = clock
        self._intensity = intensity
        self._updates = updates
        self._works = [[cluster.workload(member) for _ in range(random.randint(1, 4))] for member in cluster.members]
        self._campaign = -1
        self._weights: list[float] = []
        self._requeued: deque[_Requeued] = deque()

    def started(self, start: int) -> DemoUnit:
        """Make a unit that starts at this second, at or before the last update."""
        requeued = self._requeued
        if requeued and requeued[0].ready <= start:
            again = requeued.popleft()
            return self._unit(again.workload, again.uuid, again.name, again.created, start)
        cluster = self._cluster
        workload = self._pick(start)
        created = start - cluster.queue_seconds(workload)
        return self._unit(workload, cluster.next_uuid(workload), cluster.unit_name(workload), created, start)

    def running(self, start: int, login: str = "") -> DemoUnit:
        """Make a unit that starts at this second and still runs. ``login``: its user, a member of the cluster."""
        cluster = self._cluster
        members = [member.user.name for member in cluster.members]
        workload = self._works[members.index(login)][0] if login else self._pick(start)
        created = start - cluster.queue_seconds(workload)
        uuid = cluster.next_uuid(workload)
        return self._finish(workload, uuid, cluster.unit_name(workload), (created, start, 0), cluster.unfinished())

    def pending(self) -> DemoUnit:
        """Make a unit that was just created and has not started: start and end are 0 as numbers and `N/A` as text."""
        cluster = self._cluster
        workload = self._pick(self._updates.last)
        created = self._updates.last - int(self._random.random() * 300)
        outcome = Outcome(cluster.waiting, 0)
        return self._finish(
            workload, cluster.next_uuid(workload), cluster.unit_name(workload), (created, 0, 0), outcome
        )

    def _pick(self, start: int) -> Workload:
        campaign = start // _CAMPAIGN
        if campaign != self._campaign:
            self._campaign = campaign
            self._weigh_members()
        random = self._random
        works = self._works[bisect(self._weights, random.random() * self._weights[-1])]
        return works[int(random.random() * len(works))]

    def _weigh_members(self) -> None:
        """Let members have busy and idle weeks."""
        total = 0.0
        choice = self._random.choice
        self._weights = [
            total := total + member.activity * choice((0.05, 0.3, 1.0, 1.0, 3.0)) for member in self._cluster.members
        ]

    def _unit(self, workload: Workload, uuid: str, name: str, created: int, start: int) -> DemoUnit:
        outcome = self._cluster.outcome(workload)
        end = start + outcome.seconds
        if end > self._updates.last:
            return self._finish(workload, uuid, name, (created, start, 0), self._cluster.unfinished())
        if is_requeued(outcome):
            self._requeued.append(_Requeued(workload, uuid, name, created, end + 120))
        return self._finish(workload, uuid, name, (created, start, end), outcome)

    def _finish(
        self, workload: Workload, uuid: str, name: str, times: tuple[int, int, int], outcome: Outcome
    ) -> DemoUnit:
        """Write the row of a unit with these creation, start and end times; 0 means that the time has not come yet."""
        created, start, end = times
        cluster, clock, updates = self._cluster, self._clock, self._updates
        updated = updates.following(end) if end else updates.last
        count = updates.count(start or created, updated)
        until = end or updated
        # Kubernetes counts from the creation of the pod, the others from the start.
        seconds = until - (start if cluster.manager != "k8s" else created) if start else 0
        metrics, vector = self._measure(workload, start or updated, until, outcome.active, count)
        ignored = 1 if end and end - start < CUTOFF_SECONDS else 0
        member = workload.member
        row: Row = (
            *(cluster.manager, cluster.id, uuid, name, member.project, member.user.group, member.user.name),
            clock.with_offset(created),
            clock.with_offset(start) if start else cluster.running_end,
            clock.with_offset(end) if end else cluster.running_end,
            *(created * 1000, start * 1000, end * 1000),
            elapsed(seconds) if start else cluster.running_end,
            *(outcome.state, workload.allocation, cluster.tags(workload, outcome)),
            *metrics,
            *(ignored, count, clock.local(updated)),
        )
        return DemoUnit(row, member, updated, vector)

    def _measure(
        self, workload: Workload, start: int, end: int, active: float, updates: int
    ) -> tuple[tuple[str, ...], Vector]:
        """Return the texts of the metric columns, and the vector of the same numbers for the totals."""
        cluster, random = self._cluster, self._random
        walltime: float = end - start
        if not cluster.exact_walltime:
            walltime = round(max(0.0, walltime * active - random.random()), 8)
        cpu_memory_time = round(workload.memory * walltime, 8)
        cpu_time = round(workload.cpus * walltime, 8)
        gpu_memory_time = round(workload.gpu_memory * walltime, 8)
        gpu_time = round(workload.gpus * walltime, 8)
        time_text = (
            f'{{"alloc_cpumemtime":{number(cpu_memory_time)},"alloc_cputime":{number(cpu_time)},'
            f'"alloc_gpumemtime":{number(gpu_memory_time)},"alloc_gputime":{number(gpu_time)},'
            f'"walltime":{number(walltime)}}}'
        )
        times = (cpu_memory_time, cpu_time, gpu_memory_time, gpu_time, walltime)
        # Go writes an uninitialised map as null. A later update that adds to it makes it {}.
        empty = "null" if updates == 1 else "{}"
        if (
            end - start < SCRAPE_SECONDS
            or (updates == 1 and end == self._updates.last)
            or (updates == 2 and end == self._updates.last and random.random() > _WATCHED)
        ):
            vector = [1, updates, *times, *_NO_CPU, *_NO_GPU, *_NO_TRAFFIC, *_NO_TRAFFIC]
            vector += [0] * (2 * len(cluster.providers))
            return (time_text, *(empty,) * 12), vector

        usage = workload.usage
        waste = 0.02 if random.random() < workload.waste else 1.0
        cpu = _percent(usage.cpu * waste + 6.0 * waste * random.gauss(0.0, 1.0))
        memory = _percent(usage.cpu_memory * waste + 6.0 * waste * random.gauss(0.0, 1.0))
        watts = workload.cpus * (CORE_IDLE_WATTS + (usage.core_watts - CORE_IDLE_WATTS) * cpu / 100)
        energy = round(watts * walltime / _JOULES_PER_KWH, 8)
        factors = [self._intensity.mean(provider, start, end) for provider in cluster.providers]
        emissions = [round(energy * factor, 8) for factor in factors]
        cpu_texts = self._processor_texts(cpu, memory, energy, emissions)
        cpu_sums = (1, cpu * cpu_time, cpu_time, memory * cpu_memory_time, cpu_memory_time, energy)
        if workload.gpus:
            gpu = _percent(usage.gpu * waste + 8.0 * waste * random.gauss(0.0, 1.0))
            gpu_memory = _percent(usage.gpu_memory * waste + 8.0 * waste * random.gauss(0.0, 1.0))
            watts = workload.gpus * (GPU_IDLE_WATTS + (usage.gpu_watts - GPU_IDLE_WATTS) * gpu / 100)
            energy = round(watts * walltime / _JOULES_PER_KWH, 8)
            gpu_emissions = [round(energy * factor, 8) for factor in factors]
            gpu_texts = self._processor_texts(gpu, gpu_memory, energy, gpu_emissions)
            gpu_sums = (1, gpu * gpu_time, gpu_time, gpu_memory * gpu_memory_time, gpu_memory_time, energy)
        else:
            gpu_emissions, gpu_texts, gpu_sums = [0] * len(factors), (empty,) * 4, _NO_GPU
        io_texts, io_sums = self._traffic(cluster.has_io, cpu_time, "requests", empty)
        network_texts, network_sums = self._traffic(cluster.has_network, walltime, "packets", empty)
        return (
            (time_text, *cpu_texts, *gpu_texts, *io_texts, *network_texts),
            [1, updates, *times, *cpu_sums, *gpu_sums, *io_sums, *network_sums, *emissions, *gpu_emissions],
        )

    def _processor_texts(
        self, usage: float, memory: float, energy: float, emissions: list[float]
    ) -> tuple[str, str, str, str]:
        shares = ",".join(
            [f'"{name}":{number(value)}' for name, value in zip(self._cluster.providers, emissions, strict=True)]
        )
        return (
            f'{{"global":{number(usage)}}}',
            f'{{"global":{number(memory)}}}',
            f'{{"total":{number(energy)}}}',
            f"{{{shares}}}",
        )

    def _traffic(
        self, measured: bool, seconds: float, counted: str, empty: str
    ) -> tuple[tuple[str, str], tuple[int, int, int, int, int]]:
        """Draw bytes and requests (or packets) in both directions: from 1 kB to 1 MB a second."""
        if not measured:
            return (empty, empty), _NO_TRAFFIC
        random = self._random
        rate = 2.0 ** (10.0 + 9.0 * random.random())
        out_bytes = int(seconds * rate)
        in_bytes = int(out_bytes * 2.0 * random.random())
        size = 1000 + int(random.random() * 60_000)
        out_count, in_count = 1 + out_bytes // size, 1 + in_bytes // size
        texts = (
            f'{{"bytes":{out_bytes},"{counted}":{out_count}}}',
            f'{{"bytes":{in_bytes},"{counted}":{in_count}}}',
        )
        return texts, (1, out_bytes, out_count, in_bytes, in_count)


def _percent(value: float) -> float:
    return round(min(100.0, max(0.01, value)), 8)
