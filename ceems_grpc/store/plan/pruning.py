"""Simplifies conditions for a source: by the clusters that it holds and the columns that it lacks."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from ceems_grpc.store.plan import (
    ALWAYS,
    NEVER,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    CountIf,
    Holds,
    In,
    Instant,
    Key,
    Measure,
    Operand,
    PairIn,
    RanWithin,
    Running,
    StartsWith,
    Waiting,
    Within,
)

_NO_LISTS: Mapping[str, frozenset[str]] = {}


def clusters_of(condition: Condition) -> frozenset[str] | None:
    """Return the ids of the clusters whose rows can meet the condition; None means any cluster."""
    match condition:
        case In("cluster_id", values, False):
            return frozenset(values)
        case In(_, (), False):
            return frozenset()
        case PairIn(columns, pairs):
            if "cluster_id" not in columns:
                return None if pairs else frozenset()
            place = columns.index("cluster_id")
            return frozenset(pair[place] for pair in pairs)
        case AllOf(parts):
            known = [found for found in map(clusters_of, parts) if found is not None]
            return frozenset.intersection(*known) if known else None
        case AnyOf(parts):
            found = [clusters_of(part) for part in parts]
            return None if None in found else frozenset().union(*(some for some in found if some is not None))
    return None


def without_missing(
    condition: Condition, has: Callable[[str], bool], lists: Mapping[str, frozenset[str]] = _NO_LISTS
) -> Condition:
    """Return the condition for a database that lacks columns, as if they were null in every row.

    ``lists``: missing columns that are known to hold the same list in every row.
    """

    def there(operand: Operand) -> bool:
        return has(operand.column if isinstance(operand, Key) else operand)

    match condition:
        case AllOf(parts):
            return _all_of([without_missing(part, has, lists) for part in parts])
        case AnyOf(parts):
            return _any_of([without_missing(part, has, lists) for part in parts])
        case In(operand, _, negate):
            return condition if there(operand) else (ALWAYS if negate else NEVER)
        case PairIn(columns, _):
            kept = all(map(has, columns))
        case StartsWith(operand, _, negate):
            return condition if there(operand) else (ALWAYS if negate else NEVER)
        case Compare(operand, _, _):
            kept = there(operand)
        case Holds(column, values) if column in lists:
            return NEVER if lists[column].isdisjoint(values) else ALWAYS
        case Holds(column, _):
            kept = has(column)
        case Within(instant, _, _):
            kept = has("last_updated_at" if instant is Instant.UPDATED else "ended_at_ts")
        case RanWithin():
            kept = all(map(has, ("started_at_ts", "ended_at_ts", "last_updated_at")))  # every version of CEEMS has them
        case Running():
            kept = has("ended_at_ts")
        case Waiting():
            kept = has("started_at_ts") and has("ended_at_ts")
    return condition if kept else NEVER


def within(condition: Condition, clusters: frozenset[str]) -> Condition:
    """Return the condition for a database whose rows all belong to these clusters."""
    match condition:
        case AllOf(parts):
            return _all_of([within(part, clusters) for part in parts])
        case AnyOf(parts):
            return _any_of([within(part, clusters) for part in parts])
        case In("cluster_id", values, False) if clusters <= frozenset(values):
            return ALWAYS
        case In("cluster_id", values, False) if clusters.isdisjoint(values):
            return NEVER
    return condition


def holding_only(condition: Condition, column: str, values: frozenset[str]) -> Condition:
    """Return the condition with only these values of a list column; any other value matches no row."""
    match condition:
        case AllOf(parts):
            return _all_of([holding_only(part, column, values) for part in parts])
        case AnyOf(parts):
            return _any_of([holding_only(part, column, values) for part in parts])
        case Holds(name, wanted) if name == column:
            kept = tuple(value for value in wanted if value in values)
            return Holds(name, kept) if kept else NEVER
    return condition


def _all_of(parts: list[Condition]) -> Condition:
    if NEVER in parts:
        return NEVER
    left = tuple(part for part in parts if part != ALWAYS)
    return left[0] if len(left) == 1 else AllOf(left)


def _any_of(parts: list[Condition]) -> Condition:
    if ALWAYS in parts:
        return ALWAYS
    left = tuple(part for part in parts if part != NEVER)
    return left[0] if len(left) == 1 else AnyOf(left)


def measure_without_missing(measure: Measure, has: Callable[[str], bool]) -> Measure:
    """Return the measure with its condition simplified by `without_missing`."""
    if isinstance(measure, CountIf):
        return replace(measure, condition=without_missing(measure.condition, has))
    return measure
