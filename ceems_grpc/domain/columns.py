"""The columns of units and usage: what each means, its unit, and how a metric is summed.

Metrics are JSON objects; which keys they hold (providers, global, total ...) differs between sites and is never fixed.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a column is."""

    IDENTITY = "identity"
    TIME = "time"
    COUNT = "count"
    METRIC = "metric"
    DERIVED = "derived"
    ALLOCATION = "allocation"
    TAG = "tag"


class Unit(StrEnum):
    """Physical units of values."""

    NONE = ""
    PERCENT = "percent"
    KWH = "kWh"
    GRAMS = "g"
    SECONDS = "s"
    BYTES = "B"
    COUNT = "count"
    KWH_PER_HOUR = "kWh/h"
    GRAMS_PER_HOUR = "g/h"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer."""

    name: str
    kind: Kind
    description: str
    unit: Unit = Unit.NONE

    @property
    def has_keys(self) -> bool:
        """Tell whether the column is an object that answers take apart by keys."""
        return self.kind in {Kind.METRIC, Kind.DERIVED, Kind.ALLOCATION, Kind.TAG}

    def unit_of(self, key: str) -> Unit:
        """Return the unit of one key."""
        if self.name == "total_time_seconds" and key == "alloc_cpumemtime":
            return Unit.NONE  # memory times seconds: of mebibytes or of bytes, as the resource manager has it
        if self.name.endswith("_stats"):
            return Unit.BYTES if "bytes" in key else Unit.COUNT
        if self.name == "allocation" and key == "mem":
            return Unit.NONE  # bytes for Slurm, mebibytes for OpenStack: no unit fits all
        return self.unit


def _metric(name: str, unit: Unit, description: str) -> Column:
    return Column(name, Kind.METRIC, description, unit)


def _derived(name: str, unit: Unit, description: str) -> Column:
    return Column(name, Kind.DERIVED, description, unit)


def _identity(name: str, description: str) -> Column:
    return Column(name, Kind.IDENTITY, description)


_CLUSTER = _identity("cluster_id", "Cluster that the unit ran on")
_MANAGER = _identity("resource_manager", "Kind of cluster: slurm, openstack, k8s ...")
_PROJECT = _identity("project", "Account in batch systems, tenant in OpenStack, namespace in Kubernetes")
_GROUP = _identity("groupname", "User's group")
_USER = _identity("username", "User")
_NUM_UNITS = Column("num_units", Kind.COUNT, "Number of units", Unit.COUNT)

METRICS: tuple[Column, ...] = (
    _metric("total_time_seconds", Unit.SECONDS, "Wall time, and allocated CPU, memory and GPU time"),
    _metric("avg_cpu_usage", Unit.PERCENT, "Average CPU usage"),
    _metric("avg_cpu_mem_usage", Unit.PERCENT, "Average CPU memory usage"),
    _metric("total_cpu_energy_usage_kwh", Unit.KWH, "Energy used by CPUs and hosts"),
    _metric("total_cpu_emissions_gms", Unit.GRAMS, "Emissions (CO2 equivalent) of CPUs and hosts, by provider"),
    _metric("avg_gpu_usage", Unit.PERCENT, "Average GPU usage"),
    _metric("avg_gpu_mem_usage", Unit.PERCENT, "Average GPU memory usage"),
    _metric("total_gpu_energy_usage_kwh", Unit.KWH, "Energy used by GPUs"),
    _metric("total_gpu_emissions_gms", Unit.GRAMS, "Emissions (CO2 equivalent) of GPUs, by provider"),
    _metric("total_io_write_stats", Unit.COUNT, "Written to disk"),
    _metric("total_io_read_stats", Unit.COUNT, "Read from disk"),
    _metric("total_ingress_stats", Unit.COUNT, "Received from the network"),
    _metric("total_egress_stats", Unit.COUNT, "Sent to the network"),
)

METRIC_NAMES = frozenset(column.name for column in METRICS)

DERIVED: tuple[Column, ...] = (
    _derived("total_energy_usage_kwh", Unit.KWH, "Energy used by CPUs, hosts and GPUs together"),
    _derived("total_emissions_gms", Unit.GRAMS, "Emissions of CPUs, hosts and GPUs together, by provider"),
    _derived("energy_per_unit_hour_kwh", Unit.KWH_PER_HOUR, "Energy of CPUs and GPUs per hour that units ran"),
    _derived("emissions_per_unit_hour_gms", Unit.GRAMS_PER_HOUR, "Emissions per hour that units ran, by provider"),
    _derived("used_cpu_time_seconds", Unit.SECONDS, "Allocated CPU time that was really used"),
    _derived("idle_cpu_time_seconds", Unit.SECONDS, "Allocated CPU time that was not used"),
    _derived("used_cpu_time_percent", Unit.PERCENT, "Share of the allocated CPU time that was used"),
    _derived("used_gpu_time_seconds", Unit.SECONDS, "Allocated GPU time that was really used"),
    _derived("idle_gpu_time_seconds", Unit.SECONDS, "Allocated GPU time that was not used"),
    _derived("used_gpu_time_percent", Unit.PERCENT, "Share of the allocated GPU time that was used"),
)

UNIT_COLUMNS: tuple[Column, ...] = (
    _CLUSTER,
    _MANAGER,
    _identity("uuid", "Identifier of the unit: job id, VM or pod UUID"),
    _identity("name", "Name of the unit"),
    _PROJECT,
    _GROUP,
    _USER,
    Column("created_at", Kind.TIME, "When the unit was created", Unit.MOMENT),
    Column("started_at", Kind.TIME, "When the unit started", Unit.MOMENT),
    Column("ended_at", Kind.TIME, "When the unit ended; empty while it runs", Unit.MOMENT),
    Column("created_at_ts", Kind.TIME, "When the unit was created, in milliseconds since 1970", Unit.NONE),
    Column("started_at_ts", Kind.TIME, "When the unit started, in milliseconds since 1970", Unit.NONE),
    Column("ended_at_ts", Kind.TIME, "When the unit ended, in milliseconds since 1970; 0 while it runs", Unit.NONE),
    _identity("elapsed", "How long the unit has run, as days-hours:minutes:seconds"),
    _identity("state", "State of the unit, in the words of its resource manager"),
    Column("allocation", Kind.ALLOCATION, "What the unit was given"),
    *METRICS,
    Column("tags", Kind.TAG, "Further facts that the resource manager keeps"),
)

USAGE_COLUMNS: tuple[Column, ...] = (_CLUSTER, _MANAGER, _NUM_UNITS, _PROJECT, _GROUP, _USER, *METRICS)

STATS_COLUMNS: tuple[Column, ...] = (
    _CLUSTER,
    _MANAGER,
    _NUM_UNITS,
    Column("num_inactive_units", Kind.COUNT, "Number of units that have ended", Unit.COUNT),
    Column("num_active_units", Kind.COUNT, "Number of units that run", Unit.COUNT),
    Column("num_projects", Kind.COUNT, "Number of projects with units", Unit.COUNT),
    Column("num_users", Kind.COUNT, "Number of users with units", Unit.COUNT),
)

_NAME_OF_PROJECT = _identity("name", "Name of the project")
_LIST = "comma-separated"
USER_COLUMNS: tuple[Column, ...] = (
    _identity("uid", "Identifier that the cluster has for the user"),
    _CLUSTER,
    _MANAGER,
    _identity("name", "Name of the user"),
    _identity("projects", f"Projects of the user, {_LIST}"),
    _identity("tags", f"Tags, {_LIST}"),
)
PROJECT_COLUMNS: tuple[Column, ...] = (
    _identity("uid", "Identifier that the cluster has for the project"),
    _CLUSTER,
    _MANAGER,
    _NAME_OF_PROJECT,
    _identity("users", f"Members of the project, {_LIST}"),
    _identity("tags", f"Tags, {_LIST}"),
)
CLUSTER_COLUMNS: tuple[Column, ...] = (
    _identity("id", "Identifier of the cluster"),
    _identity("manager", "Kind of cluster: slurm, openstack, k8s ..."),
)

WEIGHTS: dict[str, str] = {
    "avg_cpu_usage": "alloc_cputime",
    "avg_cpu_mem_usage": "alloc_cpumemtime",
    "avg_gpu_usage": "alloc_gputime",
    "avg_gpu_mem_usage": "alloc_gpumemtime",
}
"""Which key of total_time_seconds weighs an average when units are taken together."""

GROUPS = ("cluster_id", "resource_manager", "project", "groupname", "username")
"""By what usage may be grouped."""
