"""The vocabulary in which the domain asks a store: what to read, under which condition, summed how.

A plan names tables and columns of the CEEMS schema, never SQL, so that every engine can answer it in its own way.
Values inside the JSON columns (metrics, allocation, tags) are named by `Key`; moments are whole seconds since 1970.
"""

from dataclasses import dataclass
from enum import StrEnum


class Table(StrEnum):
    """The tables that hold answers."""

    UNITS = "units"
    USAGE = "usage"
    DAILY_USAGE = "daily_usage"
    USERS = "users"
    PROJECTS = "projects"
    ADMIN_USERS = "admin_users"


@dataclass(frozen=True, slots=True)
class Key:
    """One value in a JSON object column, for example ``Key("total_cpu_emissions_gms", "rte_total")``."""

    column: str
    name: str

    def __str__(self) -> str:
        """Return the dotted name, ``column.key``, by which answers call the value."""
        return f"{self.column}.{self.name}"


Operand = str | Key
"""A plain column by its name, or a value inside a JSON column."""


class Instant(StrEnum):
    """Moments that a row has, whatever the engine keeps them as."""

    ENDED = "ended"  # when a unit ended; units that run have none
    UPDATED = "updated"  # when the writer last touched a row; of daily_usage, the start of the row's UTC day


@dataclass(frozen=True, slots=True)
class In:
    """The operand is (or, negated, is not or has no value) one of the values; no values: never (always)."""

    operand: Operand
    values: tuple[str, ...]
    negate: bool = False


@dataclass(frozen=True, slots=True)
class PairIn:
    """Both columns together are one of the pairs, for example (cluster_id, project)."""

    columns: tuple[str, str]
    pairs: tuple[tuple[str, str], ...]


OPERATORS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=", "!=": "<>"}
"""How a comparison is written in a plan, and in SQL."""


@dataclass(frozen=True, slots=True)
class Compare:
    """The operand is a number and stands in that relation to the value; rows without the value do not pass."""

    operand: Operand
    operator: str  # one of < <= > >= = !=
    value: float


@dataclass(frozen=True, slots=True)
class Holds:
    """A JSON array column (projects.users, users.projects) holds one of the values."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartsWith:
    """A text column starts with the prefix, case ignored for ASCII letters."""

    operand: Operand
    prefix: str


@dataclass(frozen=True, slots=True)
class Within:
    """The moment lies in [start, end], both whole seconds since the epoch and both included."""

    instant: Instant
    start: int
    end: int

    @property
    def milliseconds(self) -> tuple[int, int]:
        """The bounds for ended_at_ts, which has milliseconds: ended_at has not, and the API compares whole seconds.

        0, which says that a unit runs, is never within them.
        """
        return max(self.start * 1000, 1), self.end * 1000 + 999


@dataclass(frozen=True, slots=True)
class Running:
    """The unit has not ended."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; no parts: always."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds; no parts: never."""

    parts: tuple["Condition", ...]


Condition = In | PairIn | Compare | Holds | StartsWith | Within | Running | AllOf | AnyOf

ALWAYS = AllOf(())
NEVER = AnyOf(())


def ended_or_running(where: Condition) -> tuple[Within, tuple[Condition, ...]] | None:
    """Return the window of a condition about units that "ended within it, or run", and its other parts; else None."""
    if isinstance(where, AllOf):
        for index, part in enumerate(where.parts):
            match part:
                case AnyOf((Within(Instant.ENDED) as window, Running())):
                    return window, (*where.parts[:index], *where.parts[index + 1 :])
    return None


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by the operand (a column of the table or of the answer); rows without a value come last.

    ``numeric``: the operand is a metric's value; what is no number counts as 0 there.
    """

    operand: Operand
    descending: bool = False
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class AllKeys:
    """Every value that rows of the answer hold in a JSON column, one answer column each (``column.key``).

    Numeric columns become float64, where text such as ``NaN`` or ``+Inf`` counts as 0 as the CEEMS API has it.
    Others (allocation, tags) become int64, float64 or text by what they hold; nested values become JSON text.
    """

    column: str
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Scan:
    """Rows of a table. JSON columns named plainly come as JSON text, `AllKeys` as one column per key."""

    table: Table
    columns: tuple[str | AllKeys, ...]
    where: Condition = ALWAYS
    order: tuple[Order, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Number of rows."""

    name: str


@dataclass(frozen=True, slots=True)
class CountIf:
    """Number of rows for which the condition holds."""

    name: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class Sum:
    """Sum over the rows that have the value (float64; null where no row has it), or of an integer column (int64)."""

    name: str
    operand: Operand


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """Sum of value times weight over the rows that have the value; a missing weight is 0. Null where no row has it."""

    name: str
    value: Key
    weight: Key


@dataclass(frozen=True, slots=True)
class WeightOf:
    """Sum of the weight over the rows that have the value: what divides a `WeightedSum` into a mean."""

    name: str
    value: Key
    weight: Key


@dataclass(frozen=True, slots=True)
class FirstBy:
    """The column's value in the row that comes first by the other column (least value of both)."""

    name: str
    column: str
    by: str


Measure = Count | CountIf | Sum | WeightedSum | WeightOf | FirstBy


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One row per group with its measures. Without groups: one row over everything, also over no rows.

    ``day``: groups also by the UTC day of the row (`Instant.UPDATED`), as an int64 column ``day`` of seconds.
    """

    table: Table
    by: tuple[str, ...]
    measures: tuple[Measure, ...]
    where: Condition = ALWAYS
    order: tuple[Order, ...] = ()
    day: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """Measures of units per group and step of time, each unit spread over the time it ran.

    ``starts`` are the steps' starts in seconds, ascending; a step ends where the next starts, the last at ``end``. A
    unit ran from its start to its end (while it runs: to its last update), of which the part within [``first``,
    ``last``] counts: a step has the share of a unit's sums that it has of that part. A unit without such a part counts
    whole in the step of its last update; so does its `Count` always. The answer has an int64 column ``step`` (index).
    """

    by: tuple[str, ...]
    measures: tuple[Measure, ...]
    where: Condition
    starts: tuple[int, ...]
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class KeyScan:
    """Which keys the rows hold in each of the JSON columns; ``recent``: only of the rows that were added last."""

    table: Table
    columns: tuple[str, ...]
    where: Condition = ALWAYS
    recent: int | None = None


@dataclass(frozen=True, slots=True)
class Distinct:
    """The different values of columns taken together, in order; ``recent``: only of the rows that were added last."""

    table: Table
    columns: tuple[str, ...]
    where: Condition = ALWAYS
    limit: int | None = None
    recent: int | None = None
