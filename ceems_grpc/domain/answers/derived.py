"""Columns that are computed from others: totals over CPU and GPU, values per unit hour, used and idle time.

The names say the units (kWh, grams, seconds, percent). Hours are hours of the wall time of units.
"""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.schema import WEIGHTS

NEEDS: dict[str, tuple[str, ...]] = {
    "total_energy_usage_kwh": ("total_cpu_energy_usage_kwh", "total_gpu_energy_usage_kwh"),
    "total_emissions_gms": ("total_cpu_emissions_gms", "total_gpu_emissions_gms"),
    "energy_per_unit_hour_kwh": (
        "total_cpu_energy_usage_kwh",
        "total_gpu_energy_usage_kwh",
        "total_time_seconds",
    ),
    "emissions_per_unit_hour_gms": ("total_cpu_emissions_gms", "total_gpu_emissions_gms", "total_time_seconds"),
    "used_cpu_time_seconds": ("avg_cpu_usage", "total_time_seconds"),
    "idle_cpu_time_seconds": ("avg_cpu_usage", "total_time_seconds"),
    "used_cpu_time_percent": ("avg_cpu_usage", "total_time_seconds"),
    "used_gpu_time_seconds": ("avg_gpu_usage", "total_time_seconds"),
    "idle_gpu_time_seconds": ("avg_gpu_usage", "total_time_seconds"),
    "used_gpu_time_percent": ("avg_gpu_usage", "total_time_seconds"),
}
"""The metrics that each derived column is computed from."""

# Made once: Arrow takes 0.1 ms to make a scalar from a Python float.
_NONE = pa.scalar(None, pa.float64())
_ZERO, _HUNDRED, _HOUR = pa.scalar(0.0), pa.scalar(100.0), pa.scalar(3600.0)

WEIGHTED_SUM = "#weighted."  # prefix of the helper column that holds the sum of value times weight over units


def derived_among(names: set[str]) -> tuple[str, ...]:
    """Return the derived columns among these names, in the order of `NEEDS`."""
    return tuple(name for name in NEEDS if name in names)


def with_needs(names: set[str]) -> set[str]:
    """Return the columns and the metrics that the derived columns among them are computed from."""
    return names.union(*(NEEDS[name] for name in derived_among(names)))


def add_derived(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Append the derived columns of these names, one for each key of their metrics."""
    added: dict[str, pa.ChunkedArray] = {}
    for name in names:
        first, second, *_ = NEEDS[name]
        added |= {f"{name}.{key}": values for key, values in _RULES[name](table, first, second).items()}
    if not added:
        return table
    # All at once: appending one column after the other takes time quadratic in the number of keys.
    return pa.Table.from_arrays([*table.columns, *added.values()], names=[*table.column_names, *added])


def _keys(table: pa.Table, column: str) -> dict[str, pa.ChunkedArray]:
    prefix = column + "."
    return {name[len(prefix) :]: table.column(name) for name in table.column_names if name.startswith(prefix)}


def _together(table: pa.Table, first: str, second: str) -> dict[str, pa.ChunkedArray]:
    """Add two metrics key by key. If only one of them has a value, that value is the sum."""
    left, right = _keys(table, first), _keys(table, second)
    sums: dict[str, pa.ChunkedArray] = {}
    for key in sorted({*left, *right}):
        if key in left and key in right:
            some = pc.add(pc.fill_null(left[key], _ZERO), pc.fill_null(right[key], _ZERO))
            none = pc.and_(pc.is_null(left[key]), pc.is_null(right[key]))
            sums[key] = pc.if_else(none, _NONE, some)
        else:
            sums[key] = left[key] if key in left else right[key]
    return sums


def _per_hour(table: pa.Table, first: str, second: str) -> dict[str, pa.ChunkedArray]:
    hours = _keys(table, "total_time_seconds").get("walltime")
    if hours is None:
        return {}
    return {key: _ratio(values, hours, _HOUR) for key, values in _together(table, first, second).items()}


def _used(table: pa.Table, average: str, _: str) -> dict[str, pa.ChunkedArray]:
    allocated = _keys(table, "total_time_seconds").get(WEIGHTS[average])
    used: dict[str, pa.ChunkedArray] = {}
    for key, percent in _keys(table, average).items():
        summed = f"{WEIGHTED_SUM}{average}.{key}"
        if summed in table.column_names:
            used[key] = pc.divide(table.column(summed), _HUNDRED)
        elif allocated is not None:
            used[key] = pc.divide(pc.multiply(percent, allocated), _HUNDRED)
    return used


def _idle(table: pa.Table, average: str, times: str) -> dict[str, pa.ChunkedArray]:
    allocated = _keys(table, times).get(WEIGHTS[average])
    if allocated is None:
        return {}
    return {
        key: pc.max_element_wise(pc.subtract(allocated, used), _ZERO, skip_nulls=False)
        for key, used in _used(table, average, times).items()
    }


def _used_percent(table: pa.Table, average: str, times: str) -> dict[str, pa.ChunkedArray]:
    allocated = _keys(table, times).get(WEIGHTS[average])
    if allocated is None:
        return {}
    return {key: _ratio(used, allocated, _HUNDRED) for key, used in _used(table, average, times).items()}


def _ratio(over: pa.ChunkedArray, under: pa.ChunkedArray, factor: pa.DoubleScalar) -> pa.ChunkedArray:
    """Divide. The result is null if the divisor is 0 or missing."""
    divisor = pc.if_else(pc.equal(under, _ZERO), _NONE, under)
    return pc.multiply(pc.divide(over, divisor), factor)


_RULES: dict[str, Callable[[pa.Table, str, str], dict[str, pa.ChunkedArray]]] = {
    "total_energy_usage_kwh": _together,
    "total_emissions_gms": _together,
    "energy_per_unit_hour_kwh": _per_hour,
    "emissions_per_unit_hour_gms": _per_hour,
    "used_cpu_time_seconds": _used,
    "idle_cpu_time_seconds": _idle,
    "used_cpu_time_percent": _used_percent,
    "used_gpu_time_seconds": _used,
    "idle_gpu_time_seconds": _idle,
    "used_gpu_time_percent": _used_percent,
}
