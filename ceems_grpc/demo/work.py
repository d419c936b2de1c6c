"""What the clusters of the demo have in common: the kinds of work that members submit, and how a unit goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from ceems_grpc.demo.people import Member

CORE_IDLE_WATTS: Final = 1.5
CORE_BUSY_WATTS: Final = (3.0, 8.0)
GPU_IDLE_WATTS: Final = 45.0
GPU_BUSY_WATTS: Final = (150.0, 400.0)
MIB: Final = 1 << 20
GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Usage:
    """How a kind of work uses what it was given: mean percentages, and watts of a busy core and a busy GPU."""

    cpu: float
    cpu_memory: float
    gpu: float
    gpu_memory: float
    core_watts: float
    gpu_watts: float


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of work that one member submits again and again.

    `memory` and `gpu_memory` are what a second of walltime adds to alloc_cpumemtime and alloc_gpumemtime, in the unit
    of the resource manager; `pool` is the partition, queue, flavor or namespace it
    comes from. Durations are in seconds,
    `spread` is the standard deviation of their logarithm.
    `allocation` is the JSON text of the column; `tags` the part of the JSON that is the same for all its units.
    """

    member: Member
    name: str
    cpus: float
    memory: int
    gpus: int
    gpu_memory: int
    nodes: int
    pool: str
    median_seconds: float
    spread: float
    limit_seconds: int
    usage: Usage
    waste: float
    allocation: str
    tags: str

    def duration(self, random: Random) -> int:
        """Draw how many seconds a unit of this kind takes if nothing stops it; it may be beyond the limit."""
        return 1 + int(self.median_seconds * math.exp(self.spread * random.gauss(0.0, 1.0)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state a unit reaches, the seconds until then, the share of them it was active, and a manager's detail."""

    state: str
    seconds: int
    active: float = 1.0
    detail: str = ""


class Cluster(Protocol):
    """One cluster of the centre, as its resource manager sees it."""

    id: str
    manager: str
    providers: tuple[str, ...]
    """Keys of the emissions columns, in alphabetical order as Go writes them."""
    members: tuple[Member, ...]
    running_end: str
    """What ended_at says while a unit runs."""
    waiting: str
    """The state of a unit that has not started; empty where CEEMS does not record such units."""
    exact_walltime: bool
    """Whether total_time_seconds has whole seconds (from accounting) or fractions (from update intervals)."""
    has_io: bool
    has_network: bool

    def workload(self, member: Member) -> Workload:
        """Invent a kind of work for a member."""

    def next_uuid(self, workload: Workload) -> str:
        """Return the uuid of a new unit of that kind of work."""

    def unit_name(self, workload: Workload) -> str:
        """Return the name of one unit."""

    def queue_seconds(self, workload: Workload) -> int:
        """Draw how long a unit waits between creation and start."""

    def outcome(self, workload: Workload) -> Outcome:
        """Draw how a unit ends."""

    def unfinished(self) -> Outcome:
        """Draw the state of a unit that has not ended; its seconds mean nothing."""

    def tags(self, workload: Workload, outcome: Outcome) -> str:
        """Return the JSON text of the tags of one unit."""


def invent_usage(random: Random, gpus: int) -> Usage:
    """Invent how a kind of work uses its cores, and its GPUs if it has any."""
    return Usage(
        # GPU codes leave most of their cores waiting.
        cpu=random.triangular(3.0, 60.0, 18.0) if gpus else random.triangular(10.0, 99.0, 80.0),
        cpu_memory=random.triangular(3.0, 95.0, 35.0),
        gpu=random.triangular(5.0, 99.0, 70.0) if gpus else 0.0,
        gpu_memory=random.triangular(5.0, 97.0, 55.0) if gpus else 0.0,
        core_watts=random.uniform(*CORE_BUSY_WATTS),
        gpu_watts=random.uniform(*GPU_BUSY_WATTS) if gpus else 0.0,
    )


def invent_waste(random: Random) -> float:
    """Invent the share of a member's units that hold their resources and hardly use them."""
    return random.choice((0.01, 0.02, 0.04, 0.08, 0.3))
