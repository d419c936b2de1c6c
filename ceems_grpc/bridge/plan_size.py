"""Which plans are large work. The questions that they belong to are known to the plugin that asks, and not here.

So a plan is judged as `ceems_grpc.domain.cost` judges a question: by its span of time, and whether it names people.
"""

from ceems_grpc.domain.cost import LONGEST_SMALL, LONGEST_SMALL_OF_FEW
from ceems_grpc.store.plan import (
    AllOf,
    AnyOf,
    Condition,
    Distinct,
    In,
    KeyScan,
    PairIn,
    Plan,
    Running,
    Spread,
    Table,
    Within,
)
from ceems_grpc.store.runtime.admission import Size

_FEW = {"username", "project", "uuid"}


def size_of_plan(plan: Plan) -> Size:
    """Return how much work a plan is. Values for drop-downs, and tables with a row per user, are small work."""
    table = Table.UNITS if isinstance(plan, Spread) else plan.table
    if table not in {Table.UNITS, Table.DAILY_USAGE} or isinstance(plan, Distinct):
        return Size.SMALL
    if isinstance(plan, KeyScan) and plan.recent is not None:
        return Size.SMALL
    few, span = _names_few(plan.where), _span(plan.where)
    if span is None:
        return Size.SMALL if few else Size.LARGE
    if table is Table.DAILY_USAGE:
        return Size.SMALL if span <= 30 * LONGEST_SMALL else Size.LARGE
    return Size.SMALL if span <= (LONGEST_SMALL_OF_FEW if few else LONGEST_SMALL) else Size.LARGE


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
    """Return how many seconds of rows a condition lets through, None for any; what runs now is no span."""
    match condition:
        case Within(_, start, end):
            return end - start
        case Running():
            return 0
        case AllOf(parts):
            return min((span for span in map(_span, parts) if span is not None), default=None)
        case AnyOf(parts):
            spans = [_span(part) for part in parts]
            return None if None in spans else max((span for span in spans if span is not None), default=0)
    return None
