"""The cost class of a question or a plan, which decides in which lane of the queue it waits.

The cost depends on the time that the rows span and on whether they belong to few people. The number of rows differs
from site to site, but a day of all users and a fortnight of one user are quick in every database, and a month of all
users is slow in a large one. Nothing is measured, so equal questions always wait in the same lane.
"""

from enum import StrEnum

from ceems_grpc.store.plan import (
    AllOf,
    AnyOf,
    Condition,
    Distinct,
    In,
    KeyScan,
    PairIn,
    Plan,
    RanWithin,
    Running,
    Table,
    Waiting,
    Within,
    table_of,
)

_DAY = 86_400
_LONGEST_SMALL = 1.25 * _DAY  # seconds of the units of all users: a day, plus the rounding of windows
_LONGEST_SMALL_OF_FEW = 14.25 * _DAY  # seconds of the units of few users or projects
_LONGEST_SMALL_BY_DAY = 30 * _LONGEST_SMALL  # seconds of daily_usage, which has a row per user, project and day
_FEW = {"username", "project", "uuid"}


class CostClass(StrEnum):
    """How much work a question or a plan is."""

    SMALL = "small"
    LARGE = "large"


def cost_of_rows(table: Table, span: float | None, *, few: bool) -> CostClass:
    """Return the cost of reading rows of a table.

    ``span``: the time range of the rows in seconds; None means unlimited. ``few``: whether only rows of some users,
    projects or units are read. Tables other than units and daily_usage have few rows per user and are always small.
    """
    if table not in {Table.UNITS, Table.DAILY_USAGE}:
        return CostClass.SMALL
    if span is None:
        return CostClass.SMALL if few else CostClass.LARGE
    if table is Table.DAILY_USAGE:
        return CostClass.SMALL if span <= _LONGEST_SMALL_BY_DAY else CostClass.LARGE
    longest = _LONGEST_SMALL_OF_FEW if few else _LONGEST_SMALL
    return CostClass.SMALL if span <= longest else CostClass.LARGE


def cost_of_plan(plan: Plan) -> CostClass:
    """Return the cost of a plan. The values of drop-downs are always small."""
    if isinstance(plan, Distinct) or (isinstance(plan, KeyScan) and plan.recent is not None):
        return CostClass.SMALL
    return cost_of_rows(table_of(plan), _span(plan.where), few=_names_few(plan.where))


def _names_few(condition: Condition) -> bool:
    match condition:
        case In(column, _, False):
            return column in _FEW
        case PairIn(columns, _):
            return not _FEW.isdisjoint(columns)
        case AllOf(parts):
            return any(map(_names_few, parts))
        case AnyOf(parts):
            return all(map(_names_few, parts))
    return False


def _span(condition: Condition) -> float | None:
    """Return the time range in seconds that a condition selects; None means unlimited. Running units add nothing."""
    match condition:
        case Within(_, start, end) | RanWithin(start, end):
            return end - start
        case Running() | Waiting():
            return 0
        case AllOf(parts):
            return min((span for span in map(_span, parts) if span is not None), default=None)
        case AnyOf(parts):
            spans = [_span(part) for part in parts]
            return None if None in spans else max((span for span in spans if span is not None), default=0)
    return None
