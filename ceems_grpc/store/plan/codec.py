"""Plans, facts and zones as JSON texts, for stores on other hosts.

A dataclass is an object with its class's name under ``is``; what is read is checked against the types of `plan.py`.
"""

import json
import math
import types
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, ForwardRef, Union, get_args, get_origin, get_type_hints

from ceems_grpc.store.plan import Aggregate, Distinct, KeyScan, Scan, Spread, Table
from ceems_grpc.store.plan import vocabulary as plan_module
from ceems_grpc.store.plan.check import check_plan

Plan = Scan | Aggregate | Spread | KeyScan | Distinct
_IS = "is"
_DEEPEST = 100

_METRICS = (
    "total_time_seconds", "avg_cpu_usage", "avg_cpu_mem_usage", "total_cpu_energy_usage_kwh",
    "total_cpu_emissions_gms", "avg_gpu_usage", "avg_gpu_mem_usage", "total_gpu_energy_usage_kwh",
    "total_gpu_emissions_gms", "total_io_write_stats", "total_io_read_stats", "total_ingress_stats",
    "total_egress_stats", "total_outgress_stats",
)  # fmt: skip
_ROW = ("id", "cluster_id", "resource_manager", "last_updated_at")
_USAGE = (*_ROW, "num_units", "project", "groupname", "username", "num_updates", *_METRICS)
COLUMNS: dict[Table, tuple[str, ...]] = {
    Table.UNITS: (
        *_ROW, "uuid", "name", "project", "groupname", "username", "created_at", "started_at", "ended_at",
        "created_at_ts", "started_at_ts", "ended_at_ts", "elapsed", "state", "allocation", "tags", "ignore",
        "num_updates", *_METRICS,
    ),
    Table.USAGE: _USAGE,
    Table.DAILY_USAGE: _USAGE,
    Table.USERS: (*_ROW, "uid", "name", "projects", "tags"),
    Table.PROJECTS: (*_ROW, "uid", "name", "users", "tags"),
    Table.ADMIN_USERS: (*_ROW, "uid", "name", "projects", "tags", "source", "users", "clusters"),
}  # fmt: skip
"""All columns that a version of CEEMS has had (ceems-dev/ceems, pkg/api/db/migrations), and ``clusters``."""


def write_plan(plan: Plan) -> bytes:
    """Write a plan as JSON."""
    return json.dumps(_written(plan), allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def read_plan(text: bytes) -> Plan:
    """Read a plan. Raises `ValueError` for anything that is none, and for names that are not of the CEEMS schema."""
    try:
        found: Plan = _read(json.loads(text.decode("utf-8", "surrogatepass")), Plan, 0)
        check_plan(found, COLUMNS)
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"this is no plan: {error}") from None
    return found


def _written(value: object) -> Any:  # noqa: ANN401 - any JSON
    if is_dataclass(value):
        found = {field.name: _written(getattr(value, field.name)) for field in fields(value)}
        return {_IS: type(value).__name__, **found}
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def _read(value: Any, hint: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON, any type
    if depth > _DEEPEST:
        raise ValueError("this is no plan: it is nested too deeply")
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return _read_one_of(value, get_args(hint), depth)
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError("a list is wanted")
        inner = get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_read(item, inner[0], depth + 1) for item in value)
        return tuple(_read(item, of, depth + 1) for item, of in zip(value, inner, strict=True))
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, dict) or value.pop(_IS, None) != hint.__name__:
            raise TypeError(f"a {hint.__name__} is wanted")
        hints = _hints(hint)
        return hint(**{name: _read(item, hints[name], depth + 1) for name, item in value.items()})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is float and isinstance(value, dict):
        return float(value["float"])
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise TypeError(f"{hint} is wanted")
    return value


def _read_one_of(value: Any, hints: tuple[Any, ...], depth: int) -> Any:  # noqa: ANN401 - any JSON, any type
    if isinstance(value, dict):
        for hint in hints:
            if is_dataclass(hint) and value.get(_IS) == getattr(hint, "__name__", ""):
                return _read(value, hint, depth)
    if value is None and types.NoneType in hints:
        return None
    for hint in hints:
        if isinstance(hint, type) and not is_dataclass(hint) and type(value) is hint:
            return value
    raise TypeError("another kind of value is wanted")


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, vars(plan_module))
    return {name: _resolved(hint) for name, hint in hints.items()}


def _resolved(hint: Any) -> Any:  # noqa: ANN401 - any type
    """Return a type with names inside it looked up; `Condition` is in its own parts."""
    if isinstance(hint, ForwardRef | str):
        name = hint.__forward_arg__ if isinstance(hint, ForwardRef) else hint
        return getattr(plan_module, name)
    return hint
