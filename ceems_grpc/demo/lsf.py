"""An LSF cluster of the demo: batch jobs and job arrays, with the fields that bjobs gives to CEEMS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Final

from ceems_grpc.demo.people import Member
from ceems_grpc.demo.work import GIB, MIB, Outcome, Workload, invent_usage, invent_waste

_HOUR: Final = 3600
_JOB_NAMES: Final = ("align", "render", "regress", "fold", "scan", "mc", "tune")
_ARRAYS: Final = 0.6  # chance that a submission is a job array
_RUN_LIMIT, _MEMORY_LIMIT, _KILLED = "140", "137", "130"  # exit codes
_PENDING: Final = "PEND"
_RUNNING: Final = Outcome("RUN", 0, detail="0")


@dataclass(frozen=True, slots=True)
class LsfQueue:
    """A queue: its hosts, what one host has, and its run limit."""

    name: str
    host_prefix: str
    hosts: int
    slots: int
    gib: int
    gpus: int
    longest_hours: int


QUEUES: Final = (
    LsfQueue("normal", "lsf", 40, 48, 192, 0, 24),
    LsfQueue("short", "lsf", 40, 48, 192, 0, 2),
    LsfQueue("gpu", "lsfg", 6, 64, 512, 4, 24),
)


@dataclass(slots=True)
class _Array:
    """A job array: its job number, the index of its next element, and that of its last."""

    job: int
    following: int
    last: int


class LsfCluster:
    """An LSF cluster. The uuid of a job is its number; an element of a job array adds its index: `1234[5]`."""

    manager = "lsf"
    running_end = "N/A"
    waiting = _PENDING
    exact_walltime = True
    has_io = True
    has_network = True

    def __init__(
        self, random: Random, cluster_id: str, members: tuple[Member, ...], providers: tuple[str, ...]
    ) -> None:
        self.id = cluster_id
        self.members = members
        self.providers = providers
        self._random = random
        self._job = random.randrange(1_000, 90_000)
        self._arrays: dict[tuple[str, str], _Array] = {}

    def workload(self, member: Member) -> Workload:
        """Invent a kind of job: a part of one host, or two whole hosts."""
        random = self._random
        queue = random.choices(QUEUES, (5, 3, 2))[0]
        hosts = random.choice((1, 1, 1, 2))
        part = 1 if hosts > 1 else random.choice((1, 2, 4))
        slots, memory = queue.slots * hosts // part, queue.gib * hosts // part * GIB
        gpus = queue.gpus * hosts // part
        limit = random.choice((1, 2, queue.longest_hours)) * _HOUR
        user = member.user
        allocation = {"cpus": slots, "gpus": gpus, "mem": memory, "nodes": hosts}
        return Workload(
            member=member,
            name=f"{random.choice(_JOB_NAMES)}_{member.project}",
            cpus=slots,
            memory=memory // MIB,
            gpus=gpus,
            gpu_memory=1 if gpus else 0,
            nodes=hosts,
            pool=queue.name,
            median_seconds=limit * random.uniform(0.05, 0.5),
            spread=random.uniform(0.3, 0.9),
            limit_seconds=limit,
            usage=invent_usage(random, gpus),
            waste=invent_waste(random),
            allocation=json.dumps(allocation, separators=(",", ":")),
            tags=(
                f'"queue":{json.dumps(queue.name)},"uid":{user.uid},'
                f'"workdir":{json.dumps(f"/home/{user.name}/{member.project}")}'
            ),
        )

    def next_uuid(self, workload: Workload) -> str:
        """Return the next element of the member's job array with this name, or the number of a new submission."""
        random = self._random
        key = (workload.member.user.name, workload.name)
        array = self._arrays.get(key)
        if array is None:
            self._job += 1 + int(random.random() * 3)
            if random.random() >= _ARRAYS:
                return str(self._job)
            array = self._arrays[key] = _Array(self._job, 1, random.choice((4, 8, 16, 32)))
        uuid = f"{array.job}[{array.following}]"
        array.following += 1
        if array.following > array.last:
            del self._arrays[key]
        return uuid

    def unit_name(self, workload: Workload) -> str:
        """Return the job name, which all elements of an array share."""
        return workload.name

    def queue_seconds(self, workload: Workload) -> int:
        """Draw a wait: LSF dispatches every few seconds, and jobs that need whole hosts wait for them."""
        return min(86_400, 1 + int(self._random.expovariate(1.0) * 300 * workload.nodes))

    def outcome(self, workload: Workload) -> Outcome:
        """Draw how a job ends: DONE, or EXIT with an exit code that says why. No job exceeds its limit."""
        random = self._random
        seconds = workload.duration(random)
        luck = random.random()
        if luck < 0.86:
            if seconds > workload.limit_seconds:
                return Outcome("EXIT", workload.limit_seconds, detail=_RUN_LIMIT)
            return Outcome("DONE", seconds, detail="0")
        seconds = 1 + int(min(seconds, workload.limit_seconds) * random.random())
        return Outcome("EXIT", seconds, detail=random.choice(("1", "2", _MEMORY_LIMIT, _KILLED)))

    def unfinished(self) -> Outcome:
        """Return the state of a job that runs."""
        return _RUNNING

    def tags(self, workload: Workload, outcome: Outcome) -> str:
        """Return the tags of a job on some of the queue's hosts; a waiting job has no hosts yet."""
        hosts = [] if outcome.state == _PENDING else self._pick_hosts(workload)
        slots = workload.cpus // max(1, len(hosts))
        placed = ":".join(f"{slots}*{host}" for host in hosts) or "-"
        return (
            f'{{"exec_host":"{placed}","exit_code":{outcome.detail or 0},"gid":{workload.member.user.gid},'
            f'"nodelistexp":"{"|".join(hosts)}",{workload.tags}}}'
        )

    def _pick_hosts(self, workload: Workload) -> list[str]:
        queue = next(queue for queue in QUEUES if queue.name == workload.pool)
        first = int(self._random.random() * (queue.hosts - workload.nodes + 1))
        return [f"{queue.host_prefix}{number:03}" for number in range(first, first + workload.nodes)]
