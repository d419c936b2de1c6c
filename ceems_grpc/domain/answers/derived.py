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
    "cpu_hours": ("total_time_seconds",),
    "gpu_hours": ("total_time_seconds",),
    "emission_factor_gms_per_kwh": (
        "total_cpu_emissions_gms",
        "total_gpu_emissions_gms",
        "total_cpu_energy_usage_kwh",
        "total_gpu_energy_usage_kwh",
    ),
}
"""The metrics that each derived column is computed from."""

# Made once: Arrow takes 0.1 ms to make a scalar from a Python float.
_NONE = pa.scalar(None, pa.float64())
_ZERO, _ONE, _HUNDRED, _HOUR = pa.scalar(0.0), pa.scalar(1.0), pa.scalar(100.0), pa.scalar(3600.0)

WEIGHTED_SUM = "#weighted."  # prefix of the helper column that holds the sum of value times weight over units


def derived_among(names: set[str]) -> tuple[str, ...]:
    """Return the derived columns among these names, in the order of `NEEDS`."""
    return tuple(name for name in NEEDS if name in names)


def with_needs(names: set[str]) -> set[str]:
    """Return the columns and the metrics that the derived columns among them are computed from."""
    return names.union(*(NEEDS[name] for name in derived_among(names)))


_Keys = dict[str, pa.ChunkedArray]  # the values of a metric by its keys


class _Metrics:
    """The columns of a table by metric and key."""

    def __init__(self, table: pa.Table) -> None:
        self.columns = dict(zip(table.column_names, table.columns, strict=True))
        self._of: dict[str, _Keys] = {}
        for name, values in self.columns.items():
            metric, dot, key = name.partition(".")
            if dot:
                self._of.setdefault(metric, {})[key] = values

    def of(self, metric: str) -> _Keys:
        """Return the values of a metric by its keys; none if the table lacks it."""
        return self._of.get(metric, {})


def add_derived(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Append the derived columns of these names, one for each key of their metrics."""
    if not names:
        return table
    metrics, added = _Metrics(table), _Keys()
    for name in names:
        first, *others = NEEDS[name]
        found = _RULES[name](metrics, first, others[0] if others else "")
        added |= {f"{name}.{key}" if key else name: values for key, values in found.items()}
    if not added:
        return table
    # All at once: appending one column after the other takes time quadratic in the number of keys.
    return pa.Table.from_arrays([*table.columns, *added.values()], names=[*table.column_names, *added])


def _together(metrics: _Metrics, first: str, second: str) -> _Keys:
    """Add two metrics key by key. If only one of them has a value, that value is the sum."""
    left, right = metrics.of(first), metrics.of(second)
    sums: _Keys = {}
    for key in sorted({*left, *right}):
        if key in left and key in right:
            some = pc.add(pc.fill_null(left[key], _ZERO), pc.fill_null(right[key], _ZERO))
            none = pc.and_(pc.is_null(left[key]), pc.is_null(right[key]))
            sums[key] = pc.if_else(none, _NONE, some)
        else:
            sums[key] = left[key] if key in left else right[key]
    return sums


def _per_hour(metrics: _Metrics, first: str, second: str) -> _Keys:
    hours = metrics.of("total_time_seconds").get("walltime")
    if hours is None:
        return {}
    return {key: _ratio(values, hours, _HOUR) for key, values in _together(metrics, first, second).items()}


def _hours(key: str) -> Callable[[_Metrics, str, str], _Keys]:
    """Return the rule of a column without keys: the hours of a time."""

    def rule(metrics: _Metrics, times: str, _: str) -> _Keys:
        seconds = metrics.of(times).get(key)
        return {} if seconds is None else {"": pc.divide(seconds, _HOUR)}

    return rule


def _per_kwh(metrics: _Metrics, first: str, second: str) -> _Keys:
    energy = _together(metrics, "total_cpu_energy_usage_kwh", "total_gpu_energy_usage_kwh").get("total")
    if energy is None:
        return {}
    return {key: _ratio(values, energy, _ONE) for key, values in _together(metrics, first, second).items()}


def _used(metrics: _Metrics, average: str, _: str) -> _Keys:
    allocated = metrics.of("total_time_seconds").get(WEIGHTS[average])
    used: _Keys = {}
    for key, percent in metrics.of(average).items():
        summed = f"{WEIGHTED_SUM}{average}.{key}"
        if summed in metrics.columns:
            used[key] = pc.divide(metrics.columns[summed], _HUNDRED)
        elif allocated is not None:
            used[key] = pc.divide(pc.multiply(percent, allocated), _HUNDRED)
    return used


def _idle(metrics: _Metrics, average: str, times: str) -> _Keys:
    allocated = metrics.of(times).get(WEIGHTS[average])
    if allocated is None:
        return {}
    return {
        key: pc.max_element_wise(pc.subtract(allocated, used), _ZERO, skip_nulls=False)
        for key, used in _used(metrics, average, times).items()
    }


def _used_percent(metrics: _Metrics, average: str, times: str) -> _Keys:
    allocated = metrics.of(times).get(WEIGHTS[average])
    if allocated is None:
        return {}
    return {key: _ratio(used, allocated, _HUNDRED) for key, used in _used(metrics, average, times).items()}


def _ratio(over: pa.ChunkedArray, under: pa.ChunkedArray, factor: pa.DoubleScalar) -> pa.ChunkedArray:
    """Divide. The result is null if the divisor is 0 or missing."""
    divisor = pc.if_else(pc.equal(under, _ZERO), _NONE, under)
    return pc.multiply(pc.divide(over, divisor), factor)


_RULES: dict[str, Callable[[_Metrics, str, str], _Keys]] = {
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
    "cpu_hours": _hours("alloc_cputime"),
    "gpu_hours": _hours("alloc_gputime"),
    "emission_factor_gms_per_kwh": _per_kwh,
}
