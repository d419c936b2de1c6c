"""A Kubernetes cluster of the demo: pods of users and of service accounts, with the fields that CEEMS reads."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

from ceems_grpc.demo.people import Member
from ceems_grpc.demo.text import random_uuid
from ceems_grpc.demo.work import GIB, Outcome, Workload, invent_usage, invent_waste

_MINUTE: Final = 60
_DAY: Final = 86_400
_GPU_RESOURCE: Final = "nvidia.com/gpu"
_JOBS: Final = ("notebook", "etl", "ci", "batch", "train", "export")
_SERVICES: Final = ("api", "frontend", "worker", "cache", "scheduler")
_SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


class KubernetesCluster:
    """A Kubernetes cluster; units are pods, and a pod without a known user belongs to `project:svc`."""

    manager = "k8s"
    running_end = "N/A"
    waiting = "Pending"
    exact_walltime = False
    has_io = True
    has_network = True

    def __init__(
        self, random: Random, cluster_id: str, members: tuple[Member, ...], providers: tuple[str, ...]
    ) -> None:
        self.id = cluster_id
        self.members = members
        self.providers = providers
        self._random = random

    def workload(self, member: Member) -> Workload:
        """Invent a kind of pod: services of service accounts live for days, jobs for minutes or hours."""
        random = self._random
        service = member.is_service
        gpus = random.choice((1, 1, 2)) if not service and random.random() < 0.25 else 0
        cpus = random.choice((0.25, 0.5, 1, 2)) if service else random.choice((0.5, 1, 2, 4, 8)) * max(1, gpus)
        memory = int(cpus * random.choice((1, 2, 4)) * GIB)
        allocation: dict[str, float] = {"mem": memory} | ({_GPU_RESOURCE: gpus} if gpus else {}) | {"vcpus": cpus}
        app = random.choice(_SERVICES if service else _JOBS)
        tags: dict[str, Any] = {
            "annotations": {"ceems.io/created-by": _creator(member), "ceems.io/project": member.project},
            "labels": {"app": app, "team": member.project},
            "qos": random.choice(("Guaranteed", "Burstable", "Burstable")),
        }
        return Workload(
            member=member,
            name=f"{app}-{member.project}",
            cpus=cpus,
            memory=memory,
            gpus=gpus,
            gpu_memory=gpus,
            nodes=1,
            pool=member.project,
            median_seconds=random.choice((0.5, 2.0, 6.0)) * _DAY if service else random.choice((5, 30, 120)) * _MINUTE,
            spread=random.uniform(0.4, 1.2),
            limit_seconds=60 * _DAY,
            usage=invent_usage(random, gpus),
            waste=invent_waste(random) * 2,
            allocation=json.dumps(allocation, separators=(",", ":")),
            tags=json.dumps(tags, separators=(",", ":")),
        )

    def next_uuid(self, workload: Workload) -> str:
        """Return a random uuid."""
        return random_uuid(self._random)

    def unit_name(self, workload: Workload) -> str:
        """Return the name of one pod, with the random suffix that a controller adds."""
        random = self._random
        return f"{workload.name}-{''.join(random.choices(_SUFFIX_LETTERS, k=5))}"

    def queue_seconds(self, workload: Workload) -> int:
        """Draw how long the pod took to be scheduled."""
        return 1 + int(self._random.expovariate(1.0) * 4)

    def outcome(self, workload: Workload) -> Outcome:
        """Draw how a pod ends."""
        random = self._random
        seconds = min(workload.limit_seconds, workload.duration(random))
        if random.random() < 0.9:
            return Outcome("Succeeded", seconds)
        return Outcome("Failed", 1 + int(seconds * random.random()))

    def unfinished(self) -> Outcome:
        """Draw the state of a pod that runs; a few have containers that never become ready."""
        return Outcome("Running/Ready" if self._random.random() < 0.93 else "Running/ContainersNotReady", 0)

    def tags(self, workload: Workload, outcome: Outcome) -> str:
        """Return the tags, which are the same for all pods of a kind."""
        return workload.tags


def _creator(member: Member) -> str:
    return f"system:serviceaccount:{member.project}:default" if member.is_service else member.user.name
