"""The vocabulary in which the domain asks a store: which rows to read, which condition they meet, how to sum them.

A plan names tables and columns of the CEEMS schema and never holds SQL, so that every engine can answer it in its own
way. `Key` names a value inside a JSON column (metrics, allocation, tags). Times are whole seconds since 1970-01-01 UTC.
"""

from enum import StrEnum

import msgspec

from ceems_grpc.schema import Table


class PlanPart(msgspec.Struct, frozen=True, tag=True, tag_field="is", forbid_unknown_fields=True):
    """Base of all parts of a plan: immutable, hashable, and tagged with its class name in an encoded plan."""


class Key(PlanPart, frozen=True):
    """One value in a JSON object column, for example ``Key("total_cpu_emissions_gms", "rte_total")``."""

    column: str
    name: str

    def __str__(self) -> str:
        """Return the dotted name of the value in answers, ``column.key``."""
        return f"{self.column}.{self.name}"


Operand = str | Key
"""The name of a plain column, or a value inside a JSON column."""


class Instant(StrEnum):
    """The times of a row that a condition can be about; how they are stored depends on the engine."""

    ENDED = "ended"  # when a unit ended; a running unit has none
    UPDATED = "updated"  # when the writer last changed the row; in daily_usage, the start of the row's UTC day


class In(PlanPart, frozen=True):
    """The operand is one of the values. With no values, the condition is never true.

    ``negate``: the operand is none of the values or is null. With no values, the condition is then always true.
    """

    operand: Operand
    values: tuple[str, ...]
    negate: bool = False


class PairIn(PlanPart, frozen=True):
    """The values of two columns, for example (cluster_id, project), are together one of the pairs."""

    columns: tuple[str, str]
    pairs: tuple[tuple[str, str], ...]


OPERATORS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=", "!=": "<>"}
"""The operators of `Compare`, and how SQL writes each."""


class Compare(PlanPart, frozen=True):
    """The operand, as a number, is in this relation to the value. Rows without the operand do not match."""

    operand: Operand
    operator: str  # one of < <= > >= = !=
    value: float


class Holds(PlanPart, frozen=True):
    """A column with a JSON array (projects.users, users.projects) contains at least one of the values."""

    column: str
    values: tuple[str, ...]


class StartsWith(PlanPart, frozen=True, omit_defaults=True):
    """A text starts with the prefix. Case is ignored for ASCII letters only.

    ``negate``: it does not, or the row has no text. Older versions of the plugin do not know this field, so it is left
    out of an encoded plan if it is false.
    """

    operand: Operand
    prefix: str
    negate: bool = False


class Within(PlanPart, frozen=True):
    """The time lies in [start, end], both in whole seconds since 1970 and both included."""

    instant: Instant
    start: int
    end: int

    @property
    def milliseconds(self) -> tuple[int, int]:
        """The bounds for ended_at_ts, which is in milliseconds, so that whole seconds compare as in the API.

        0, which marks a running unit, is never within the bounds.
        """
        return max(self.start * 1000, 1), self.end * 1000 + 999


class RanWithin(PlanPart, frozen=True):
    """The unit's run touches [start, end], both in whole seconds since 1970 and both included.

    A unit runs from its start until its end, or until its last update while it is running. A unit without a start, or
    with an end at or before its start, ran in the second of its last update. A unit without a readable last update did
    not run within any time, unless its start and end are known.
    """

    start: int
    end: int


class Running(PlanPart, frozen=True):
    """The unit has not ended."""


class Waiting(PlanPart, frozen=True):
    """The unit has neither started nor ended. A start that its column may not hold counts as no start."""


class AllOf(PlanPart, frozen=True):
    """All parts are true. Without parts, the condition is always true."""

    parts: tuple["Condition", ...]


class AnyOf(PlanPart, frozen=True):
    """At least one part is true. Without parts, the condition is never true."""

    parts: tuple["Condition", ...]


Condition = In | PairIn | Compare | Holds | StartsWith | Within | RanWithin | Running | Waiting | AllOf | AnyOf

ALWAYS = AllOf(())
NEVER = AnyOf(())


def ended_or_running(where: Condition) -> tuple[Within, tuple[Condition, ...]] | None:
    """Split a condition that includes "ended within a window, or is running" into the window and the other parts.

    Returns None when the condition has no such part.
    """
    if isinstance(where, AllOf):
        for index, part in enumerate(where.parts):
            match part:
                case AnyOf((Within(Instant.ENDED) as window, Running())):
                    return window, (*where.parts[:index], *where.parts[index + 1 :])
    return None


class Order(PlanPart, frozen=True):
    """Sort by the operand, which is a column of the table or of the answer. Nulls sort last.

    ``numeric``: the operand is the value of a metric, of which anything that is not a number sorts as 0, or a column of
    texts that are read as numbers.
    """

    operand: Operand
    descending: bool = False
    numeric: bool = False


class AllKeys(PlanPart, frozen=True):
    """Every key that the selected rows have in a JSON column, each as a column of the answer (``column.key``).

    ``numeric``: the columns are float64, and text such as ``NaN`` or ``+Inf`` counts as 0, as in the CEEMS API.
    Otherwise (allocation, tags) each is int64, float64 or text, depending on its values. Nested values are JSON text.
    ``nested``: names of values within such objects, which become columns too; see `columnar.json_paths.paths_of`.
    """

    column: str
    numeric: bool = True
    nested: tuple[str, ...] = ()


class Scan(PlanPart, frozen=True):
    """Rows of a table. A JSON column named plainly is returned as JSON text, `AllKeys` as one column per key."""

    table: Table
    columns: tuple[str | AllKeys, ...]
    where: Condition = ALWAYS
    order: tuple[Order, ...] = ()
    limit: int | None = None


class Count(PlanPart, frozen=True):
    """The number of rows."""

    name: str


class CountIf(PlanPart, frozen=True):
    """The number of rows for which the condition is true."""

    name: str
    condition: Condition


class Sum(PlanPart, frozen=True):
    """The sum over the rows that have the value: float64 and null if no row has it, or int64 for an integer column."""

    name: str
    operand: Operand


class WeightedSum(PlanPart, frozen=True):
    """The sum of value times weight over the rows that have the value; null if none has. A missing weight is 0."""

    name: str
    value: Key
    weight: Key


class WeightOf(PlanPart, frozen=True):
    """The sum of the weight over the rows that have the value: the divisor that turns a `WeightedSum` into a mean."""

    name: str
    value: Key
    weight: Key


class Min(PlanPart, frozen=True):
    """The least value of the rows that have one; null if none has."""

    name: str
    value: Key


class Max(PlanPart, frozen=True):
    """The greatest value of the rows that have one; null if none has."""

    name: str
    value: Key


class Statistic(StrEnum):
    """What is computed from the waits of units."""

    COUNT = "count"  # of the units whose wait is known, as int64
    SUM = "sum"  # in seconds, as float64; null if no wait is known
    MAX = "max"  # as SUM


class Waits(PlanPart, frozen=True):
    """A statistic of how long units waited: from their creation to their start.

    A unit that has neither started nor ended has waited until ``until`` (seconds since 1970). The wait is unknown if
    the time of creation is unknown, if the unit ended without a start, or if it was created after that moment. A wait
    counts in full in a prorated plan too.
    """

    name: str
    statistic: Statistic
    until: int


WAIT_COLUMNS = ("created_at_ts", "started_at_ts", "ended_at_ts")
"""The columns from which waits are computed."""


class FirstBy(PlanPart, frozen=True):
    """The column's value in the row with the least value of the column ``by``; in a tie, the least value."""

    name: str
    column: str
    by: str


Measure = Count | CountIf | Sum | WeightedSum | WeightOf | Min | Max | Waits | FirstBy


class Aggregate(PlanPart, frozen=True):
    """One row per group, with its measures. Without groups: one row over all rows, even if there are none.

    ``day``: also group by the UTC day of the row (`Instant.UPDATED`); the int64 column ``day`` is its start in seconds.
    ``prorated``: the table is units, and each unit's values and weights are multiplied by the share of its run that
    lies within that time; see `RanWithin`. The share is 0 for a unit that did not run within it. Counts are not
    multiplied, and sums of integer columns are not allowed.
    """

    table: Table
    by: tuple[str, ...]
    measures: tuple[Measure, ...]
    where: Condition = ALWAYS
    order: tuple[Order, ...] = ()
    day: bool = False
    prorated: RanWithin | None = None


class Spread(PlanPart, frozen=True):
    """Measures of units per group and time step, where each unit is spread evenly over its run; see `RanWithin`.

    ``starts`` are the starts of the steps in seconds, ascending. A step ends where the next starts; the last ends at
    ``end``, which is not included. A step gets the same share of the unit's sums as of the unit's run. The part of a
    run outside the steps does not count. A `Count` counts a unit once, in the last step in which it ran. The answer has
    an int64 column ``step``, the index of the step.
    """

    by: tuple[str, ...]
    measures: tuple[Measure, ...]
    where: Condition
    starts: tuple[int, ...]
    end: int


class KeyScan(PlanPart, frozen=True):
    """The keys that the rows have in each of the JSON columns.

    ``recent``: looks only at this many rows, those that were added last.
    """

    table: Table
    columns: tuple[str, ...]
    where: Condition = ALWAYS
    recent: int | None = None


class Distinct(PlanPart, frozen=True):
    """The distinct combinations of values of the columns, in ascending order.

    ``recent``: looks only at this many rows, those that were added last.
    """

    table: Table
    columns: tuple[str, ...]
    where: Condition = ALWAYS
    limit: int | None = None
    recent: int | None = None
