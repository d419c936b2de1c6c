"""Whether a plan that came from another host is about the CEEMS schema, before anything is made of it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ceems_grpc.store.plan import OPERATORS, Aggregate, Compare, Distinct, KeyScan, Order, Scan, Spread, Table

_NAMING = {"columns", "column", "by", "operand"}  # fields that hold names of columns
_INTEGERS = range(-(2**63), 2**63)


def check_plan(plan: Scan | Aggregate | Spread | KeyScan | Distinct, columns: Mapping[Table, Collection[str]]) -> None:
    """Raise `ValueError` for names that are no columns of the plan's table, unknown operators and boundless integers.

    ``columns``: those that a table may have. An aggregation may also be ordered by what it answers.
    """
    known = columns[Table.UNITS if isinstance(plan, Spread) else plan.table]
    answered = {"day", *(measure.name for measure in plan.measures)} if isinstance(plan, Aggregate) else set()
    for name in _names(plan, answered):
        if name not in known:
            raise ValueError(f"there is no column '{name[:100]}'")


def _names(part: Any, answered: Collection[str]) -> Iterator[str]:  # noqa: ANN401 - any part of a plan
    """Yield the names of columns; check what else there is."""
    if isinstance(part, tuple):
        for item in part:
            yield from _names(item, answered)
    elif isinstance(part, int) and part not in _INTEGERS:
        raise ValueError("an integer has more than 64 bits")
    elif is_dataclass(part):
        if isinstance(part, Compare) and part.operator not in OPERATORS:
            raise ValueError(f"there is no operator '{part.operator[:100]}'")
        if isinstance(part, Order) and str(part.operand) in answered:
            return
        for field in fields(part):
            value = getattr(part, field.name)
            if field.name in _NAMING:
                yield from (name for name in (value if isinstance(value, tuple) else (value,)) if isinstance(name, str))
            yield from _names(value, answered)
