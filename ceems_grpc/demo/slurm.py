"""A Slurm cluster of the demo: batch jobs, with the fields that sacct gives to CEEMS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from ceems_grpc.demo.people import Member
from ceems_grpc.demo.work import GIB, MIB, Outcome, Workload, invent_usage, invent_waste

_HOUR: Final = 3600
_JOB_NAMES: Final = ("run", "train", "sweep", "postproc", "md", "cfd", "infer", "assim", "sbatch", "interactive")
_NODE_FAIL: Final = "NODE_FAIL"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: its nodes, and what one node has."""

    name: str
    node_prefix: str
    nodes: int
    cpus: int
    gib: int
    gpus: int
    longest_hours: int


CPU_PARTITIONS: Final = (
    Partition("cpu", "cpu", 96, 64, 256, 0, 24),
    Partition("long", "cpu", 96, 64, 256, 0, 100),
    Partition("bigmem", "mem", 8, 96, 1536, 0, 48),
)
GPU_PARTITIONS: Final = (
    Partition("gpu_a100", "a100-", 16, 64, 512, 8, 20),
    Partition("gpu_h100", "h100-", 8, 96, 1024, 4, 20),
    Partition("visu", "visu", 4, 32, 128, 1, 8),
)


class SlurmCluster:
    """A Slurm cluster with these partitions; uuids are increasing job numbers."""

    manager = "slurm"
    running_end = "Unknown"
    waiting = ""
    exact_walltime = True
    has_io = True
    has_network = True

    def __init__(
        self,
        random: Random,
        cluster_id: str,
        members: tuple[Member, ...],
        providers: tuple[str, ...],
        partitions: Sequence[Partition],
    ) -> None:
        self.id = cluster_id
        self.members = members
        self.providers = providers
        self._random = random
        self._partitions = partitions
        self._job = random.randrange(100_000, 900_000)
        self._nodes = _node_lists(partitions)

    def workload(self, member: Member) -> Workload:
        """Invent a kind of job: whole nodes for parallel work, a part of one node otherwise."""
        random = self._random
        partition = random.choices(self._partitions, [5, 3, 1][: len(self._partitions)])[0]
        nodes = random.choice((1, 1, 1, 1, 2, 2, 4, 8)) if partition.nodes > 8 else 1
        part = 1 if nodes > 1 else random.choice((1, 2, 4, 8))
        gpus = max(1, partition.gpus // part) * nodes if partition.gpus else 0
        part = partition.gpus * nodes // gpus if gpus else part
        cpus = partition.cpus * nodes // part
        memory = partition.gib * nodes // part * GIB
        billing = cpus + 32 * gpus
        limit = random.choice((1, 2, 6, 12, partition.longest_hours)) * _HOUR
        user = member.user
        qos = "long" if limit > 24 * _HOUR else random.choice(("normal", "normal", "dev", "high"))
        name = f"{random.choice(_JOB_NAMES)}_{member.project}{random.choice(('', '_test', '_v2', '_prod'))}"
        return Workload(
            member=member,
            name=name,
            cpus=cpus,
            memory=memory // MIB,
            gpus=gpus,
            gpu_memory=1 if gpus else 0,
            nodes=nodes,
            pool=partition.name,
            median_seconds=limit * random.uniform(0.05, 0.6),
            spread=random.uniform(0.3, 1.1),
            limit_seconds=limit,
            usage=invent_usage(random, gpus),
            waste=invent_waste(random),
            allocation=f'{{"billing":{billing},"cpus":{cpus},"gpus":{gpus},"mem":{memory},"nodes":{nodes}}}',
            tags=(
                f'"partition":{json.dumps(partition.name)},"qos":{json.dumps(qos)},"uid":{user.uid},'
                f'"workdir":{json.dumps(f"/home/{user.name}/{member.project}")}'
            ),
        )

    def next_uuid(self, workload: Workload) -> str:
        """Return the next job number. Numbers are skipped, as if other jobs that never started had taken them."""
        self._job += 1 + int(self._random.random() * 3)
        return str(self._job)

    def unit_name(self, workload: Workload) -> str:
        """Return the job name, which all jobs of a script share."""
        return workload.name

    def queue_seconds(self, workload: Workload) -> int:
        """Draw a wait: short if the job fits into a gap, hours if it needs several nodes."""
        random = self._random
        if random.random() < 0.4:
            return int(random.random() * 6)
        return min(259_200, int(random.expovariate(1.0) * 900 * (workload.nodes + workload.gpus)))

    def outcome(self, workload: Workload) -> Outcome:
        """Draw how a job ends. Most complete, and none exceeds its limit."""
        random = self._random
        seconds = workload.duration(random)
        luck = random.random()
        if luck < 0.82:
            if seconds > workload.limit_seconds:
                return Outcome("TIMEOUT", workload.limit_seconds, detail="0:0")
            return Outcome("COMPLETED", seconds, detail="0:0")
        seconds = 1 + int(min(seconds, workload.limit_seconds) * random.random())
        if luck < 0.90:
            # Scripts fail more often early than late.
            return Outcome("FAILED", 1 + int(seconds * random.random()), detail=random.choice(("1:0", "2:0", "127:0")))
        if luck < 0.975:
            by = workload.member.user.uid if random.random() < 0.95 else 0
            return Outcome(f"CANCELLED by {by}", seconds, detail="0:15")
        if luck < 0.994:
            return Outcome("OUT_OF_MEMORY", seconds, detail="0:125")
        return Outcome(_NODE_FAIL, seconds, detail="1:0")

    def unfinished(self) -> Outcome:
        """Return the only state of a job that has not ended."""
        return _RUNNING

    def tags(self, workload: Workload, outcome: Outcome) -> str:
        """Return the tags of a job on some of the partition's nodes."""
        nodes, expanded = self._pick_nodes(workload)
        return (
            f'{{"exit_code":"{outcome.detail}","gid":{workload.member.user.gid},"nodelist":"{nodes}",'
            f'"nodelistexp":"{expanded}",{workload.tags}}}'
        )

    def _pick_nodes(self, workload: Workload) -> tuple[str, str]:
        choices = self._nodes[workload.pool, workload.nodes]
        return choices[int(self._random.random() * len(choices))]


_RUNNING: Final = Outcome("RUNNING", 0, detail="0:0")


def is_requeued(outcome: Outcome) -> bool:
    """Return whether Slurm starts the job again under the same number."""
    return outcome.state == _NODE_FAIL


def _node_lists(partitions: Sequence[Partition]) -> dict[tuple[str, int], list[tuple[str, str]]]:
    """Return every range of nodes that a job can get, by partition and number of nodes."""
    return {
        (partition.name, count): [_node_list(partition, first, count) for first in range(partition.nodes - count + 1)]
        for partition in partitions
        for count in (1, 2, 4, 8)
        if count <= partition.nodes
    }


def _node_list(partition: Partition, first: int, count: int) -> tuple[str, str]:
    """Return the list of nodes as Slurm abbreviates it, and as CEEMS expands it."""
    names = [f"{partition.node_prefix}{number:03}" for number in range(first, first + count)]
    if count == 1:
        return names[0], names[0]
    return f"{partition.node_prefix}[{first:03}-{first + count - 1:03}]", "|".join(names)
