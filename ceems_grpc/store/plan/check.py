"""Checks whether a plan from another host keeps to the CEEMS schema and within bounds, before a store sees it."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from ceems_grpc.schema import Table
from ceems_grpc.store.plan.histogram import Histogram
from ceems_grpc.store.plan.plans import Plan, table_of
from ceems_grpc.store.plan.vocabulary import OPERATORS, Aggregate, Compare, Order, PlanPart

_NAMES_COLUMNS = {"columns", "column", "by", "operand"}  # fields whose texts are names of columns
_INTEGERS = range(-(2**63), 2**63)
_DEEPEST = 100


def check_plan(plan: Plan, columns: Mapping[Table, Collection[str]]) -> None:
    """Raise `ValueError` for an unknown column or operator, an integer of more than 64 bits, or too many levels.

    The same for bounds that do not ascend. ``columns``: those that each table can have.
    An aggregate can also be ordered by the columns of its answer.
    """
    known = columns[table_of(plan)]
    answered = {"day", *(measure.name for measure in plan.measures)} if isinstance(plan, Aggregate) else set()
    _check(plan, known, answered, 0)
    if isinstance(plan, Histogram):
        _check_ascending("bounds", plan.bounds)
        _check_ascending("starts", plan.starts)


def _check(value: object, known: Collection[str], answered: Collection[str], depth: int) -> None:
    if isinstance(value, str):
        return
    if depth > _DEEPEST:
        raise ValueError("the plan is nested too deeply")
    if isinstance(value, tuple):
        for item in value:
            _check(item, known, answered, depth + 1)
    elif isinstance(value, int) and value not in _INTEGERS:
        raise ValueError("an integer has more than 64 bits")
    elif isinstance(value, PlanPart):
        if isinstance(value, Compare) and value.operator not in OPERATORS:
            raise ValueError(f"there is no operator '{value.operator[:100]}'")
        if isinstance(value, Order) and str(value.operand) in answered:
            return
        for field in value.__struct_fields__:
            inner = getattr(value, field)
            if field in _NAMES_COLUMNS:
                _check_names(inner, known)
            _check(inner, known, answered, depth + 1)


def _check_ascending(what: str, numbers: Sequence[float]) -> None:
    if not all(map(math.isfinite, numbers)) or any(low >= high for low, high in pairwise(numbers)):
        raise ValueError(f"{what} must be finite and ascend")


def _check_names(value: object, known: Collection[str]) -> None:
    for name in value if isinstance(value, tuple) else (value,):
        if isinstance(name, str) and name not in known:
            raise ValueError(f"there is no column '{name[:100]}'")
