"""Computes derived columns, row by row."""

from tests.model.data import METRICS

DERIVED = (
    *("total_energy_usage_kwh", "total_emissions_gms", "energy_per_unit_hour_kwh", "emissions_per_unit_hour_gms"),
    *("used_cpu_time_seconds", "idle_cpu_time_seconds", "used_cpu_time_percent"),
    *("used_gpu_time_seconds", "idle_gpu_time_seconds", "used_gpu_time_percent"),
)
WEIGHTS = {
    "avg_cpu_usage": "alloc_cputime",
    "avg_cpu_mem_usage": "alloc_cpumemtime",
    "avg_gpu_usage": "alloc_gputime",
    "avg_gpu_mem_usage": "alloc_gpumemtime",
}

Metrics = dict[str, dict[str, float]]


def together(left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
    return {key: left.get(key, 0.0) + right.get(key, 0.0) for key in {*left, *right}}


def derived(metrics: Metrics, used_seconds: Metrics) -> Metrics:
    """Return the derived columns; ``used_seconds``: of each average, the value times its weight, summed, over 100."""
    assert set(metrics) <= set(METRICS)
    times = metrics["total_time_seconds"]
    hours = times.get("walltime", 0.0) / 3600
    energy = together(metrics["total_cpu_energy_usage_kwh"], metrics["total_gpu_energy_usage_kwh"])
    emissions = together(metrics["total_cpu_emissions_gms"], metrics["total_gpu_emissions_gms"])
    answer: Metrics = {
        "total_energy_usage_kwh": energy,
        "total_emissions_gms": emissions,
        "energy_per_unit_hour_kwh": {key: value / hours for key, value in energy.items() if hours},
        "emissions_per_unit_hour_gms": {key: value / hours for key, value in emissions.items() if hours},
    }
    for kind in ("cpu", "gpu"):
        allocated = times.get(f"alloc_{kind}time")
        used = used_seconds[f"avg_{kind}_usage"]
        answer[f"used_{kind}_time_seconds"] = used
        answer[f"idle_{kind}_time_seconds"] = (
            {} if allocated is None else {key: max(allocated - value, 0.0) for key, value in used.items()}
        )
        answer[f"used_{kind}_time_percent"] = (
            {key: value / allocated * 100 for key, value in used.items()} if allocated else {}
        )
    return answer


def used_of_row(metrics: Metrics) -> Metrics:
    """Return the used seconds of one row that holds averages and their weight."""
    times = metrics["total_time_seconds"]
    return {
        average: {key: value * times[weight] / 100 for key, value in metrics[average].items() if weight in times}
        for average, weight in WEIGHTS.items()
    }
