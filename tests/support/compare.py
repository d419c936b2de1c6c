"""Rules for when two answers are equal."""

import math
from typing import Any

import pyarrow as pa

from ceems_grpc.store.plan import Aggregate
from tests.support.plans import Plan

METRIC_PREFIXES = ("avg_", "total_", "min_", "max_")


def plain(body: Any) -> Any:
    """Remove empty values: absent, null, "", 0, {} and [] mean the same in the API's answers.

    Metric objects keep all their keys: there, a key with 0 differs from an absent key.
    """
    if isinstance(body, dict):
        return {
            key: kept
            for key, value in body.items()
            if not _empty(kept := value if key.startswith(METRIC_PREFIXES) else plain(value))
        }
    if isinstance(body, list):
        return [plain(value) for value in body]
    return body


def _empty(value: Any) -> bool:
    return value is None or value in ("", 0, {}, [])


def same(left: Any, right: Any) -> bool:
    """Compare two plain bodies: floats within 1e-6, rows in the same order, keys in any order."""
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return math.isclose(left, right, rel_tol=1e-6)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and bool(left == right)


def first_difference(got: Any, wanted: Any) -> str:
    """Describe the first difference of two bodies, briefly enough for a test report."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        for key in sorted(got.keys() | wanted.keys()):
            if key not in got or key not in wanted or not same(got[key], wanted[key]):
                return f".{key}{first_difference(got.get(key), wanted.get(key))}"
    if isinstance(got, list) and isinstance(wanted, list):
        if len(got) != len(wanted):
            return f": {len(got)} rows, wanted {len(wanted)}"
        for index, pair in enumerate(zip(got, wanted, strict=True)):
            if not same(*pair):
                return f"[{index}]{first_difference(*pair)}"
    return f": {str(got)[:300]!r}, wanted {str(wanted)[:300]!r}"


def check_same(plan: Plan, mirrored: Any, live: Any) -> None:
    """Fail if two answers differ in names, types, order or values; floats may differ by a billionth."""
    if not isinstance(live, pa.Table):
        assert mirrored == live, (plan, mirrored, live)
        return
    assert mirrored.schema == live.schema, plan
    if isinstance(plan, Aggregate) and not plan.order:  # without an order, groups come in any order
        by = [(name, "ascending") for name in plan.by]
        mirrored, live = (table.sort_by(by) if by else table for table in (mirrored, live))
    left, right = mirrored.to_pylist(), live.to_pylist()
    assert len(left) == len(right), plan
    for one, other in zip(left, right, strict=True):
        for name, value in other.items():
            assert _same_cell(one[name], value), (plan, name, one[name], value)


def _same_cell(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(other) and bool(one == other)
