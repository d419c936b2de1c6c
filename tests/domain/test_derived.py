"""Columns computed from others."""

from typing import Any

import pyarrow as pa
import pytest

from ceems_grpc.domain.answers.derived import NEEDS, WEIGHTED_SUM, add_derived
from ceems_grpc.domain.columns import DERIVED, FACTORS
from ceems_grpc.schema import METRICS


def derived(name: str, **columns: list[float | None]) -> dict[str, list[Any]]:
    """Return the added columns; the first ``__`` of a name stands for the dot before its key."""
    arrays = {column.replace("__", ".", 1): pa.array(values, pa.float64()) for column, values in columns.items()}
    table = pa.table(arrays)
    added = add_derived(table, (name,))
    return {column: added.column(column).to_pylist() for column in added.column_names if column not in arrays}


def test_every_derived_column_can_be_computed_from_metrics() -> None:
    assert set(NEEDS) == {column.name for column in (*DERIVED, *FACTORS)}
    assert {need for needs in NEEDS.values() for need in needs} <= {column.name for column in METRICS}


def test_totals_add_cpu_and_gpu_key_by_key() -> None:
    assert derived(
        "total_emissions_gms",
        total_cpu_emissions_gms__a=[1.0, 2.0, None, None],
        total_gpu_emissions_gms__a=[10.0, None, 20.0, None],
        total_gpu_emissions_gms__b=[None, 3.0, None, 0.0],
    ) == {"total_emissions_gms.a": [11.0, 2.0, 20.0, None], "total_emissions_gms.b": [None, 3.0, None, 0.0]}


def test_energy_per_hour_of_wall_time() -> None:
    assert derived(
        "energy_per_unit_hour_kwh",
        total_cpu_energy_usage_kwh__total=[1.0, 1.0, 1.0, None],
        total_time_seconds__walltime=[1800.0, 0.0, None, 60.0],
    ) == {"energy_per_unit_hour_kwh.total": [2.0, None, None, None]}


def test_used_and_idle_time() -> None:
    columns: dict[str, list[float | None]] = {
        "avg_cpu_usage__global": [25.0, 150.0, None, 10.0, 0.0],
        "total_time_seconds__alloc_cputime": [400.0, 100.0, 100.0, None, 0.0],
    }
    assert derived("used_cpu_time_seconds", **columns) == {
        "used_cpu_time_seconds.global": [100.0, 150.0, None, None, 0.0]
    }
    assert derived("idle_cpu_time_seconds", **columns) == {
        "idle_cpu_time_seconds.global": [300.0, 0.0, None, None, 0.0]
    }
    assert derived("used_cpu_time_percent", **columns) == {
        "used_cpu_time_percent.global": [25.0, 150.0, None, None, None]
    }


def test_hours_of_processors() -> None:
    columns: dict[str, list[float | None]] = {"total_time_seconds__alloc_cputime": [7200.0, 0.0, None]}
    assert derived("cpu_hours", **columns) == {"cpu_hours": [2.0, 0.0, None]}
    assert derived("gpu_hours", **columns) == {}


def test_emission_factors_are_emissions_over_the_energy_of_cpus_and_gpus() -> None:
    assert derived(
        "emission_factor_gms_per_kwh",
        total_cpu_emissions_gms__rte_total=[50.0, 50.0, None, 1.0],
        total_gpu_emissions_gms__rte_total=[150.0, None, None, 1.0],
        total_cpu_energy_usage_kwh__total=[1.0, 1.0, 1.0, 0.0],
        total_gpu_energy_usage_kwh__total=[3.0, None, 1.0, 0.0],
    ) == {"emission_factor_gms_per_kwh.rte_total": [50.0, 50.0, None, None]}


def test_used_time_of_groups_comes_from_what_was_summed() -> None:
    # The mean covers only units that have the value: multiplying it by all allocated time would give too much.
    table = pa.table(
        {
            "avg_gpu_usage.g": [50.0],
            f"{WEIGHTED_SUM}avg_gpu_usage.g": [5000.0],
            "total_time_seconds.alloc_gputime": [400.0],
        }
    )
    added = add_derived(table, ("used_gpu_time_seconds", "idle_gpu_time_seconds", "used_gpu_time_percent"))
    assert added.column("used_gpu_time_seconds.g").to_pylist() == [50.0]
    assert added.column("idle_gpu_time_seconds.g").to_pylist() == [350.0]
    assert added.column("used_gpu_time_percent.g").to_pylist() == [12.5]


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_without_metrics_there_is_nothing(name: str) -> None:
    assert derived(name, other__a=[1.0]) == {}
