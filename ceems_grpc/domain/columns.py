"""The columns of answers: those that come from the database, and those that are computed from them."""

from collections.abc import Iterable, Iterator

from ceems_grpc.schema import COLUMNS, METRIC_TABLES, Column, Kind, Table, Type, Unit, column_named
from ceems_grpc.store.protocols import Reader


def _answered(table: Table) -> tuple[Column, ...]:
    return tuple(column for column in COLUMNS[table].values() if column.is_answered)


def _derived(name: str, unit: Unit, description: str) -> Column:
    return Column(name, Kind.DERIVED, description, unit, Type.OBJECT)


def _hours(name: str, description: str) -> Column:
    return Column(name, Kind.DERIVED, description, Unit.HOURS, Type.NUMBER)


def _count(name: str, description: str) -> Column:
    return Column(name, Kind.COUNT, description, Unit.COUNT, Type.INTEGER)


DERIVED: tuple[Column, ...] = (
    _derived("total_energy_usage_kwh", Unit.KWH, "Energy used by CPUs, hosts and GPUs together"),
    _derived(
        "total_emissions_gms", Unit.GRAMS, "Emissions (CO2 equivalent) of CPUs, hosts and GPUs together, by provider"
    ),
    _derived("energy_per_unit_hour_kwh", Unit.KWH_PER_HOUR, "Energy of CPUs and GPUs per hour that units ran"),
    _derived(
        "emissions_per_unit_hour_gms",
        Unit.GRAMS_PER_HOUR,
        "Emissions (CO2 equivalent) per hour that units ran, by provider",
    ),
    _derived("used_cpu_time_seconds", Unit.SECONDS, "Allocated CPU time that was used"),
    _derived("idle_cpu_time_seconds", Unit.SECONDS, "Allocated CPU time that was not used"),
    _derived("used_cpu_time_percent", Unit.PERCENT, "Share of the allocated CPU time that was used"),
    _derived("used_gpu_time_seconds", Unit.SECONDS, "Allocated GPU time that was used"),
    _derived("idle_gpu_time_seconds", Unit.SECONDS, "Allocated GPU time that was not used"),
    _derived("used_gpu_time_percent", Unit.PERCENT, "Share of the allocated GPU time that was used"),
)

FACTORS: tuple[Column, ...] = (
    _hours("cpu_hours", "CPU-hours: allocated CPUs times the hours that units ran"),
    _hours("gpu_hours", "GPU-hours: allocated GPUs times the hours that units ran"),
    _derived(
        "emission_factor_gms_per_kwh",
        Unit.GRAMS_PER_KWH,
        "Emissions per kWh of energy, on average over the energy that was used, by provider",
    ),
)
"""Derived columns that only questions which name them show."""

WAITING = Column(
    "wait_seconds",
    Kind.DERIVED,
    "Time from the creation of the unit to its start, or until now while it waits",
    Unit.SECONDS,
    Type.INTEGER,
)

WAITS = (
    Column(
        "avg_wait_seconds",
        Kind.DERIVED,
        "Mean time from the creation of units to their start, or until now for those that wait",
        Unit.SECONDS,
        Type.INTEGER,
    ),
    Column(
        "max_wait_seconds",
        Kind.DERIVED,
        "Longest time from the creation of a unit to its start, or until now for those that wait",
        Unit.SECONDS,
        Type.INTEGER,
    ),
)
"""How long the units of a group waited; only in usage that is summed from units."""

_NUMBERS = {Type.INTEGER, Type.NUMBER}

UNIT_COLUMNS = _answered(Table.UNITS)
USAGE_COLUMNS = _answered(Table.USAGE)
USER_COLUMNS = _answered(Table.USERS)
PROJECT_COLUMNS = _answered(Table.PROJECTS)
STATS_COLUMNS = (
    *(COLUMNS[Table.USAGE][name] for name in ("cluster_id", "resource_manager", "num_units")),
    _count("num_inactive_units", "Number of units that have ended"),
    _count("num_active_units", "Number of units that run"),
    _count("num_projects", "Number of projects with units"),
    _count("num_users", "Number of users with units"),
)
CLUSTER_COLUMNS = (
    Column("id", Kind.IDENTITY, "Identifier of the cluster"),
    Column("manager", Kind.IDENTITY, COLUMNS[Table.UNITS]["resource_manager"].description),
)


def unit_columns(reader: Reader) -> tuple[Column, ...]:
    """Return the columns of units: those that the API names, then those that only this database has."""
    return (*UNIT_COLUMNS, *_new(reader, Table.UNITS))


def unit_fields(reader: Reader) -> tuple[Column, ...]:
    """Return all fields that a question about units can name: the columns, and those that are computed from them."""
    return (*unit_columns(reader), *DERIVED, *FACTORS, WAITING)


def usage_fields(reader: Reader) -> tuple[Column, ...]:
    """Return all fields that every question about usage can name; see `WAITS` for those that only some have."""
    return (*usage_columns(reader), *DERIVED, *FACTORS)


def new_numbers(reader: Reader, table: Table) -> dict[str, Type]:
    """Return the columns that only this database has and that hold numbers; stores return these as texts."""
    return {name: type_ for name, type_ in reader.new_columns(table).items() if type_ in _NUMBERS}


def usage_columns(reader: Reader) -> tuple[Column, ...]:
    """Return the columns of usage: those that the API names, then the metrics that only this database has."""
    found = [column for table in METRIC_TABLES for column in _new(reader, table) if column.kind is Kind.METRIC]
    return (*USAGE_COLUMNS, *dict.fromkeys(found))


def metric_names(columns: Iterable[Column]) -> frozenset[str]:
    """Return the names of the metrics among the columns."""
    return frozenset(column.name for column in columns if column.kind is Kind.METRIC)


def object_names(columns: Iterable[Column]) -> frozenset[str]:
    """Return the names of the columns that answers split by key."""
    return frozenset(column.name for column in columns if column.has_keys)


def plain_names(columns: Iterable[Column]) -> frozenset[str]:
    """Return the names of the other columns."""
    return frozenset(column.name for column in columns if not column.has_keys)


def _new(reader: Reader, table: Table) -> Iterator[Column]:
    for name, type_ in reader.new_columns(table).items():
        yield column_named(name, type_)
