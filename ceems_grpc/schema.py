"""The columns of the CEEMS database, each described once: its tables, what it holds, and how it is aggregated.

To add a column of CEEMS, add a row here. Everything that stores, questions and answers need to know about columns is
derived from these rows. A column without a row is interpreted by its name; see `column_named`.

The schema's version is the number of the last migration that ran (pkg/api/db/migrations of ceems-dev/ceems).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

OLDEST_VERSION = 4
"""The oldest schema that can be read. Older ones have no projects, which decide who may see which rows."""
NEWEST_VERSION = 9
"""The newest schema that is described here. Newer ones can be read too: their columns are looked up, not assumed."""


class Table(StrEnum):
    """The tables of the database."""

    UNITS = "units"
    USAGE = "usage"
    DAILY_USAGE = "daily_usage"
    USERS = "users"
    PROJECTS = "projects"
    ADMIN_USERS = "admin_users"


METRIC_TABLES = (Table.UNITS, Table.USAGE, Table.DAILY_USAGE)
"""The tables of metrics. These are large, and their rows are found by the time of their last update."""
_TOTALS = (Table.USAGE, Table.DAILY_USAGE)
_CLUSTERED = (*METRIC_TABLES, Table.USERS, Table.PROJECTS)
_ADMINS = (Table.ADMIN_USERS,)


class Type(StrEnum):
    """How the database stores a column."""

    INTEGER = "integer"
    NUMBER = "number"  # any number of 64 bits
    TEXT = "text"
    OBJECT = "object"  # a JSON object, as text
    LIST = "list"  # a JSON array of texts, as text


class Kind(StrEnum):
    """What a column means to the reader of an answer."""

    IDENTITY = "identity"  # who or what the row is about
    TIME = "time"  # a moment: local text with an offset, or milliseconds since 1970
    COUNT = "count"
    METRIC = "metric"  # a number for each key; the keys differ between sites
    DERIVED = "derived"  # like a metric, but computed from other columns; the database does not have it
    ALLOCATION = "allocation"  # a number for each resource allocated to the unit
    TAG = "tag"  # any value for each key
    INTERNAL = "internal"  # the writer's own data; no answer shows it


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
    HOURS = "h"
    GRAMS_PER_KWH = "g/kWh"
    MOMENT = "moment"
    CHANGE = "% change"  # change against an earlier value: any number, even below 0 or above 100


class Aggregation(StrEnum):
    """How the values of several units become one."""

    SUM = "sum"
    MEAN = "mean"  # weighted by a key of total_time_seconds
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the database, or of an answer.

    ``tables``: those that have it; none for a column that only answers have. ``since`` and ``until``: the first and the
    last version of the schema that has it (None: the newest has it), for tables that exist in that version.
    ``aggregation``: of metrics. ``weight``: the key of `TIMES` that weighs a mean.
    """

    name: str
    kind: Kind
    description: str
    unit: Unit = Unit.NONE
    type: Type = Type.TEXT
    tables: tuple[Table, ...] = ()
    since: int = 1
    until: int | None = None
    aggregation: Aggregation | None = None
    weight: str = ""

    @property
    def has_keys(self) -> bool:
        """Return whether the column is an object that answers split by key."""
        return self.type is Type.OBJECT

    @property
    def is_answered(self) -> bool:
        """Return whether answers show the column."""
        return self.kind is not Kind.INTERNAL and self.until is None

    def key_in(self, name: str) -> str:
        """Return the key in the name of an answer's column, ``column.key``; empty for the plain name of the column."""
        return "" if name == self.name else name.partition(".")[2]

    def unit_of(self, key: str) -> Unit:
        """Return the unit of one key."""
        if self.name == TIMES and key == "alloc_cpumemtime":
            return Unit.NONE  # memory times seconds, in mebibytes or bytes depending on the resource manager
        if self.name.endswith("_stats"):
            return Unit.BYTES if "bytes" in key else Unit.COUNT
        if self.kind is Kind.ALLOCATION and key == "mem":
            return Unit.NONE  # bytes for Slurm, mebibytes for OpenStack: no unit fits both
        return self.unit


# What a column's name says

TIMES = "total_time_seconds"
"""The metric of times. Means are weighted by its keys."""
WALL_TIME = "walltime"
_WEIGHTS = {
    "cpu": "alloc_cputime",
    "cpu_mem": "alloc_cpumemtime",
    "gpu": "alloc_gputime",
    "gpu_mem": "alloc_gpumemtime",
}
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
_RESOURCE = re.compile(r"_(cpu_mem|cpu|gpu_mem|gpu)(?:_|$)")
_AGGREGATIONS = {
    "total_": Aggregation.SUM,
    "avg_": Aggregation.MEAN,
    "min_": Aggregation.MIN,
    "max_": Aggregation.MAX,
}
_METRIC_PREFIXES = tuple(_AGGREGATIONS)
_NUMBERS = ("REAL", "FLOA", "DOUB", "NUM", "DEC", "BOOL")


def declared_type(declaration: str) -> Type:
    """Return what the declaration of a column in SQLite says about its plain values.

    Only numbers are told from texts: SQLite keeps other types, such as dates, as texts. The words are those by which
    SQLite decides itself (https://www.sqlite.org/datatype3.html, "Determination Of Column Affinity").
    """
    words = declaration.upper()
    if "INT" in words:
        return Type.INTEGER
    if any(word in words for word in ("CHAR", "CLOB", "TEXT", "BLOB")):
        return Type.TEXT
    return Type.NUMBER if any(word in words for word in _NUMBERS) else Type.TEXT


def common_type(first: Type, second: Type) -> Type:
    """Return the type of a column whose values two databases hold with these types."""
    types = {first, second}
    if Type.OBJECT in types or len(types) == 1:
        return Type.OBJECT if Type.OBJECT in types else first
    return Type.NUMBER if types == {Type.INTEGER, Type.NUMBER} else Type.TEXT


def column_named(name: str, type_: Type = Type.OBJECT) -> Column:
    """Return the description of a column of CEEMS that no row describes, by its name.

    ``type_``: of its values. A column of JSON objects is a metric if its name starts as those of metrics do:
    ``total_`` is summed, ``avg_`` is a mean with the weight of the resource in the name (otherwise wall time),
    ``min_`` and ``max_`` are the least and the greatest value. Other objects are like tags. The other types are shown
    unchanged.
    """
    description = name.replace("_", " ").strip().capitalize()
    if type_ is not Type.OBJECT:
        return Column(name, Kind.IDENTITY, description, type=type_)
    aggregation = next((found for prefix, found in _AGGREGATIONS.items() if name.startswith(prefix)), None)
    if aggregation is None:
        return Column(name, Kind.TAG, description, type=Type.OBJECT)
    weight = ""
    if aggregation is Aggregation.MEAN:
        resource = _RESOURCE.search(name)
        weight = _WEIGHTS[resource[1]] if resource else WALL_TIME
    return Column(name, Kind.METRIC, description, type=Type.OBJECT, aggregation=aggregation, weight=weight)


def is_new_column(table: Table, name: str) -> bool:
    """Return whether answers show a column of a database that no row here describes.

    Only tables of metrics have such columns. Names with characters other than letters, digits and _ are left out.
    """
    return table in METRIC_TABLES and name not in COLUMNS[table] and _PLAIN_NAME.fullmatch(name) is not None


def is_metric(name: str) -> bool:
    """Return whether stores split a column into numbers because its name says that it is an object of numbers."""
    return name.startswith(_METRIC_PREFIXES)


# The columns, in the order in which the API shows them


def _id(name: str, description: str, *tables: Table) -> Column:
    return Column(name, Kind.IDENTITY, description, tables=tables)


def _moment(name: str, description: str) -> Column:
    return Column(name, Kind.TIME, description, Unit.MOMENT, tables=(Table.UNITS,))


def _milliseconds(name: str, description: str) -> Column:
    return Column(name, Kind.TIME, description, type=Type.INTEGER, tables=(Table.UNITS,))


def _metric(name: str, unit: Unit, description: str, *, since: int = 1, until: int | None = None) -> Column:
    found = column_named(name)
    return replace(found, unit=unit, description=description, tables=METRIC_TABLES, since=since, until=until)


def _list(name: str, description: str, *tables: Table, until: int | None = None) -> Column:
    return Column(name, Kind.IDENTITY, description, type=Type.LIST, tables=tables, until=until)


def _internal(name: str, description: str, *tables: Table, type_: Type = Type.INTEGER) -> Column:
    return Column(name, Kind.INTERNAL, description, type=type_, tables=tables)


_ROWS = (
    _internal("id", "Number of the row, which is never used again", *Table),
    _id("uid", "Identifier that the cluster has for the user", Table.USERS),
    _id("uid", "Identifier that the cluster has for the project", Table.PROJECTS),
    _id("cluster_id", "Cluster that the unit ran on", *_CLUSTERED),
    _id("resource_manager", "Kind of cluster: slurm, lsf, openstack, k8s ...", *_CLUSTERED),
    Column("num_units", Kind.COUNT, "Number of units", Unit.COUNT, Type.INTEGER, _TOTALS),
    _id("uuid", "Identifier of the unit: job id, VM or pod UUID", Table.UNITS),
    _id("name", "Name of the unit", Table.UNITS),
    _id("name", "Name of the user", Table.USERS),
    _id("name", "Name of the project", Table.PROJECTS),
    _id("project", "Account in batch systems, tenant in OpenStack, namespace in Kubernetes", *METRIC_TABLES),
    _id("groupname", "User's group", *METRIC_TABLES),
    _id("username", "User", *METRIC_TABLES),
    _moment("created_at", "When the unit was created"),
    _moment("started_at", "When the unit started"),
    _moment("ended_at", "When the unit ended; empty while it runs"),
    _milliseconds("created_at_ts", "When the unit was created, in milliseconds since 1970"),
    _milliseconds("started_at_ts", "When the unit started, in milliseconds since 1970"),
    _milliseconds("ended_at_ts", "When the unit ended, in milliseconds since 1970; 0 while it runs"),
    _id("elapsed", "How long the unit has run, as days-hours:minutes:seconds", Table.UNITS),
    _id("state", "State of the unit, in the words of its resource manager", Table.UNITS),
    Column("allocation", Kind.ALLOCATION, "What the unit was given", type=Type.OBJECT, tables=(Table.UNITS,)),
    _metric(TIMES, Unit.SECONDS, "Wall time, and allocated CPU, memory and GPU time"),
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
    _metric("total_egress_stats", Unit.COUNT, "Sent to the network", since=9),
    _metric("total_outgress_stats", Unit.COUNT, "Sent to the network, as it was called before", until=8),
    _list("projects", "Projects of the user", Table.USERS),
    _list("users", "Members of the project", Table.PROJECTS),
    _list("tags", "Tags", Table.USERS, Table.PROJECTS),
    Column("tags", Kind.TAG, "Further facts that the resource manager keeps", type=Type.OBJECT, tables=(Table.UNITS,)),
    Column("source", Kind.IDENTITY, "Where the names of administrators are from", tables=_ADMINS, until=7),
    _list("users", "Names of administrators from the source", *_ADMINS, until=7),
    _internal("ignore", "1 where answers leave the unit out, else 0", Table.UNITS),
    _internal("num_updates", "How often the writer has updated the row", *METRIC_TABLES),
    _internal("last_updated_at", "When the writer last updated the row, in local time", *Table, type_=Type.TEXT),
)
# Since version 8, rows of administrators are like those of users.
_ADMINISTRATORS = tuple(
    replace(column, tables=_ADMINS, since=8)
    for column in _ROWS
    if Table.USERS in column.tables and Table.ADMIN_USERS not in column.tables
)

COLUMNS: Mapping[Table, Mapping[str, Column]] = {
    table: {column.name: column for column in (*_ROWS, *_ADMINISTRATORS) if table in column.tables} for table in Table
}
"""The columns of each table by name, from all versions of the schema."""

ADMINISTERED = "clusters"
"""The column of admin_users with the clusters that a name administers; only in stores that hold several sites."""

METRICS = tuple(column for column in COLUMNS[Table.UNITS].values() if column.kind is Kind.METRIC and column.is_answered)

WEIGHTS = {column.name: column.weight for column in METRICS if column.weight}
"""The key of `TIMES` that weighs each mean."""

GROUPS = tuple(name for name, column in COLUMNS[Table.USAGE].items() if column.kind is Kind.IDENTITY)
"""The columns by which usage may be grouped."""

INTEGERS = frozenset(column.name for column in _ROWS if column.type is Type.INTEGER)

OBJECTS = tuple(
    name
    for name, column in COLUMNS[Table.UNITS].items()
    if column.type is Type.OBJECT and column.kind is not Kind.METRIC
)
"""The columns of JSON objects that are not metrics."""

DESCRIBED = frozenset(name for columns in COLUMNS.values() for name in columns) | {ADMINISTERED}
"""The names of all columns that are described here."""

LISTS = {
    table: names
    for table, columns in COLUMNS.items()
    if (names := tuple(name for name in columns if name in {Table.USERS, Table.PROJECTS}))
}
"""The columns of each table with a JSON array of names, which are searched for users and projects."""


def newer_schema(version: int) -> str | None:
    """Return a sentence about a version that is newer than those described here; None for other versions."""
    if version <= NEWEST_VERSION:
        return None
    return (
        f"its schema version {version} is newer than the newest that this plugin knows ({NEWEST_VERSION}): new"
        " columns are interpreted by their names; look for an update of the plugin"
    )
