"""Descriptions of the keys of columns, such as "Wall time: how long the unit ran" for total_time_seconds.walltime."""

from ceems_grpc.schema import TIMES, Column, Kind, Unit

_TIMES = {
    "walltime": "Wall time: how long units ran",
    "alloc_cputime": "Allocated CPU time: CPUs multiplied by wall time",
    "alloc_cpumemtime": "Allocated memory multiplied by wall time",
    "alloc_gputime": "Allocated GPU time: GPUs multiplied by wall time",
    "alloc_gpumemtime": "Allocated GPU memory multiplied by wall time",
}
_ALLOCATION = {
    "cpus": "Number of allocated CPUs",
    "vcpus": "Number of allocated virtual CPUs",
    "gpus": "Number of allocated GPUs",
    "nodes": "Number of allocated nodes",
    "mem": "Allocated memory, in the resource manager's unit",
    "billing": "Billing units, as the resource manager counts them",
}
_COUNTED = {
    "bytes": "bytes",
    "requests": "number of requests",
    "packets": "number of packets",
    "errors": "number of errors",
}
_PROVIDERS = {
    "rte": "RTE eCO2mix",
    "emaps": "Electricity Maps",
    "owid": "Our World in Data",
    "wt": "WattTime",
}
_BY_PROVIDER = ", by provider"
_EMISSIONS = {Unit.GRAMS, Unit.GRAMS_PER_HOUR, Unit.GRAMS_PER_KWH}


def describe_key(column: Column, key: str) -> str:
    """Describe one key of a column; without a key, the column."""
    if not key:
        return column.description
    if column.name == TIMES and key in _TIMES:
        return _TIMES[key]
    if column.kind is Kind.ALLOCATION and key in _ALLOCATION:
        return _ALLOCATION[key]
    if column.unit in _EMISSIONS and column.description.endswith(_BY_PROVIDER):
        short = key.removesuffix("_total")
        return f"{column.description.removesuffix(_BY_PROVIDER)}, with the factors of {_PROVIDERS.get(short, short)}"
    if column.name.endswith("_stats") and key in _COUNTED:
        return f"{column.description}: {_COUNTED[key]}"
    if column.kind in {Kind.METRIC, Kind.DERIVED} and key in {"total", "global"}:
        return f"{column.description}: {key}, which covers everything"
    return f"{column.description}: {key}"
