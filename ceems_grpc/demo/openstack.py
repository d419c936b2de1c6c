"""An OpenStack cluster of the demo: virtual machines, with the fields that Nova gives to CEEMS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Final

from ceems_grpc.demo.people import Member
from ceems_grpc.demo.text import random_uuid
from ceems_grpc.demo.work import Outcome, Workload, invent_usage, invent_waste

_DAY: Final = 86_400
_ROLES: Final = ("web", "db", "gitlab-runner", "jupyter", "build", "test", "portal", "broker", "monitor")


@dataclass(frozen=True, slots=True)
class Flavor:
    """A flavor: virtual CPUs, MiB of memory, GiB of disk and virtual GPUs."""

    name: str
    vcpus: int
    mib: int
    disk: int
    vgpus: int = 0

    def allocation(self) -> str:
        """Return the JSON text of the allocation column."""
        specs = {"hw_rng:allowed": "True"} | ({"resources:VGPU": str(self.vgpus)} if self.vgpus else {})
        fields = {"disk": self.disk, "extra_specs": specs, "mem": self.mib, "name": self.name, "swap": 0}
        fields["vcpus"] = self.vcpus
        if self.vgpus:
            fields["vgpus"] = self.vgpus
        return json.dumps(fields, separators=(",", ":"))


FLAVORS: Final = (
    Flavor("m1.small", 1, 2048, 20),
    Flavor("m1.medium", 2, 4096, 40),
    Flavor("m1.large", 4, 8192, 80),
    Flavor("m1.xlarge", 8, 16384, 160),
    Flavor("c1.huge", 32, 65536, 200),
)
_FLAVOR_WEIGHTS: Final = (6, 6, 4, 3, 1)
GPU_FLAVORS: Final = (Flavor("g1.vgpu", 8, 32768, 160, vgpus=1), Flavor("g1.vgpu2", 16, 65536, 320, vgpus=2))


class OpenStackCluster:
    """An OpenStack cluster; uuids are random, and machines may stop for a while without ending."""

    manager = "openstack"
    running_end = "N/A"
    waiting = ""
    exact_walltime = False
    has_io = False  # the exporter on the host cannot see the guest's IO
    has_network = True

    def __init__(
        self, random: Random, cluster_id: str, members: tuple[Member, ...], providers: tuple[str, ...]
    ) -> None:
        self.id = cluster_id
        self.members = members
        self.providers = providers
        self._random = random
        self._kinds = 0

    def workload(self, member: Member) -> Workload:
        """Invent a kind of machine: a test of an hour, or a service that runs for months."""
        random = self._random
        # Every fourth kind has virtual GPUs, so that small databases have some too.
        self._kinds += 1
        flavor = random.choice(GPU_FLAVORS) if self._kinds % 4 == 0 else random.choices(FLAVORS, _FLAVOR_WEIGHTS)[0]
        return Workload(
            member=member,
            name=f"{member.project}-{random.choice(_ROLES)}",
            cpus=flavor.vcpus,
            memory=flavor.mib,
            gpus=flavor.vgpus,
            gpu_memory=flavor.vgpus,
            nodes=1,
            pool=flavor.name,
            median_seconds=random.choice((0.1, 1.0, 3.0, 12.0, 45.0)) * _DAY,
            spread=random.uniform(0.4, 1.2),
            limit_seconds=400 * _DAY,
            usage=invent_usage(random, flavor.vgpus),
            waste=invent_waste(random) * 2,
            allocation=flavor.allocation(),
            tags=json.dumps({"owner": member.user.name}, separators=(",", ":")),
        )

    def next_uuid(self, workload: Workload) -> str:
        """Return a random uuid."""
        return random_uuid(self._random)

    def unit_name(self, workload: Workload) -> str:
        """Return the name of one machine, numbered by its owner."""
        return f"{workload.name}-{1 + int(self._random.random() * 30)}"

    def queue_seconds(self, workload: Workload) -> int:
        """Draw how long the machine took to build."""
        return 5 + int(self._random.expovariate(1.0) * 20)

    def outcome(self, workload: Workload) -> Outcome:
        """Draw how a machine ends: deleted, soft-deleted, or deleted after a pause."""
        random = self._random
        seconds = min(workload.limit_seconds, workload.duration(random))
        state = "DELETED" if random.random() < 0.95 else "SOFT_DELETED"
        active = 1.0 if random.random() < 0.8 else random.random()
        return Outcome(state, seconds, active, "NOSTATE" if state == "DELETED" else "RUNNING")

    def unfinished(self) -> Outcome:
        """Draw the state of a machine that exists."""
        random = self._random
        if random.random() < 0.82:
            return Outcome("ACTIVE", 0, detail="RUNNING")
        state, power = random.choice(
            (
                ("SHUTOFF", "SHUTDOWN"),
                ("SUSPENDED", "SUSPENDED"),
                ("PAUSED", "PAUSED"),
                ("SHELVED_OFFLOADED", "NOSTATE"),
            )
        )
        return Outcome(state, 0, random.random(), power)

    def tags(self, workload: Workload, outcome: Outcome) -> str:
        """Return the tags of one machine; only some carry metadata."""
        random = self._random
        metadata = workload.tags if random.random() < 0.3 else "{}"
        reservation = f"{random.getrandbits(40):08x}"[:8]
        return (
            f'{{"az":"nova","metadata":{metadata},"power_state":"{outcome.detail}",'
            f'"reservation_id":"r-{reservation}","tags":[]}}'
        )
