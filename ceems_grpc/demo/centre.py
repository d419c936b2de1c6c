"""The imagined computing centre: its clusters, how much work each of them receives, and when."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ceems_grpc.demo.kubernetes import KubernetesCluster
from ceems_grpc.demo.lsf import LsfCluster
from ceems_grpc.demo.openstack import OpenStackCluster
from ceems_grpc.demo.people import People
from ceems_grpc.demo.rhythm import Rhythm
from ceems_grpc.demo.slurm import CPU_PARTITIONS, GPU_PARTITIONS, SlurmCluster
from ceems_grpc.demo.work import Cluster

_FRENCH_PROVIDERS = ("emaps_total", "owid_total", "rte_total")


@dataclass(frozen=True, slots=True)
class ClusterLoad:
    """A cluster, its share of all units (0 to 1), and the rhythm in which its units start."""

    cluster: Cluster
    share: float
    rhythm: Rhythm


def build_loads(random: Random, people: People) -> tuple[ClusterLoad, ...]:
    """Set up the clusters of the centre and give each of them a share of the people. The shares of work add up to 1."""
    # Batch users queue work for the night; people start machines by hand during office hours; CI and cron start pods.
    return (
        ClusterLoad(
            SlurmCluster(
                random, "slurm-cpu", people.on_cluster(random, 0.85, groups=True), _FRENCH_PROVIDERS, CPU_PARTITIONS
            ),
            0.47,
            Rhythm(night=0.35, weekend=0.5),
        ),
        ClusterLoad(
            SlurmCluster(
                random, "slurm-gpu", people.on_cluster(random, 0.55, groups=True), _FRENCH_PROVIDERS, GPU_PARTITIONS
            ),
            0.23,
            Rhythm(night=0.3, weekend=0.55),
        ),
        ClusterLoad(
            OpenStackCluster(random, "openstack-0", people.on_cluster(random, 0.35), (*_FRENCH_PROVIDERS, "wt_total")),
            0.05,
            Rhythm(night=0.05, weekend=0.15),
        ),
        ClusterLoad(
            KubernetesCluster(
                random, "k8s-0", people.on_cluster(random, 0.45, service_accounts=True), _FRENCH_PROVIDERS
            ),
            0.17,
            Rhythm(night=0.5, weekend=0.4),
        ),
        ClusterLoad(
            LsfCluster(random, "lsf-0", people.on_cluster(random, 0.4, groups=True), _FRENCH_PROVIDERS),
            0.08,
            Rhythm(night=0.35, weekend=0.5),
        ),
    )
