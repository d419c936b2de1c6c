"""Random units and usage, as examples of the API's responses."""

import random
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa

from ceems_grpc.domain.columns import UNIT_COLUMNS, USAGE_COLUMNS

_STATES = {
    "slurm": ("COMPLETED", "CANCELLED", "TIMEOUT", "FAILED"),
    "lsf": ("DONE", "EXIT"),
    "openstack": ("DELETED", "SHUTOFF", "ERROR"),
    "k8s": ("Succeeded", "Failed"),
}
_RUNNING = {"slurm": "RUNNING", "lsf": "RUN", "openstack": "ACTIVE", "k8s": "Running"}
_PROJECTS = {"slurm": "account", "lsf": "project", "openstack": "tenant", "k8s": "namespace"}
_NUMBERS = {"created_at_ts", "started_at_ts", "ended_at_ts", "num_units"}
_PROVIDERS = ("rte_total", "emaps_total", "owid_total")


def sample_units(now: int, count: int = 100) -> pa.RecordBatch:
    """Return units of the last day as the database holds them (metrics as JSON text)."""
    return _batch([_unit(now) for _ in range(count)], tuple(column.name for column in UNIT_COLUMNS))


def sample_usage(count: int = 50) -> pa.RecordBatch:
    """Return usage of users and projects as the database holds it (metrics as JSON text)."""
    return _batch([_usage() for _ in range(count)], tuple(column.name for column in USAGE_COLUMNS))


def _unit(now: int) -> dict[str, Any]:
    row = _owner()
    manager = row["resource_manager"]
    walltime = random.randint(60, 72_000)
    started = now - 86_400 + random.randint(0, 80_000)
    created = started - random.randint(0, 7_200)
    running = started + walltime > now
    cores, gpus = random.choice((1, 4, 16, 64)), random.choice((0, 0, 1, 4))
    row |= {
        "uuid": _uuid(manager),
        "name": f"sample-{random.randint(1, 99)}",
        "created_at": _text(created),
        "started_at": _text(started),
        "ended_at": "Unknown" if running else _text(started + walltime),
        "created_at_ts": created * 1000,
        "started_at_ts": started * 1000,
        "ended_at_ts": 0 if running else (started + walltime) * 1000,
        "elapsed": f"{walltime // 3600:02}:{walltime // 60 % 60:02}:{walltime % 60:02}",
        "state": _RUNNING[manager] if running else random.choice(_STATES[manager]),
        "allocation": _json({"cpus": cores, "gpus": gpus, "mem": cores * 2**32}),
        "tags": _json({"nodelist": f"compute-{random.randint(0, 31)}"}),
    }
    return row | _metrics(min(walltime, now - started), cores, gpus)


def _uuid(manager: str) -> str:
    if manager not in {"slurm", "lsf"}:
        return str(uuid.uuid4())
    job = str(random.randint(10**6, 10**7))
    return f"{job}[{random.randint(1, 32)}]" if manager == "lsf" else job  # an element of a job array


def _usage() -> dict[str, Any]:
    return _owner() | {"num_units": random.randint(1, 500)} | _metrics(random.randint(3600, 10**6), 16, 1)


def _owner() -> dict[str, Any]:
    manager = random.choice(tuple(_STATES))
    return {
        "cluster_id": f"{manager}-{random.randint(0, 2)}",
        "resource_manager": manager,
        "project": f"{_PROJECTS[manager]}{random.randint(1, 5)}",
        "groupname": f"group{random.randint(1, 3)}",
        "username": f"user{random.randint(1, 7)}",
    }


def _metrics(walltime: int, cores: int, gpus: int) -> dict[str, str]:
    busy, gpu_busy = random.uniform(5, 100), random.uniform(5, 100)
    energy = walltime / 3600 * cores * (2 + busy / 20) / 1000
    gpu_energy = walltime / 3600 * gpus * (60 + 2.4 * gpu_busy) / 1000
    times = {"walltime": walltime, "alloc_cputime": walltime * cores, "alloc_cpumemtime": walltime * cores * 4096}
    gpu = gpus > 0
    factors = {provider: random.uniform(30, 400) for provider in _PROVIDERS}
    return {
        "total_time_seconds": _json(times | {"alloc_gputime": walltime * gpus, "alloc_gpumemtime": walltime * gpu}),
        "avg_cpu_usage": _json({"global": round(busy, 8)}),
        "avg_cpu_mem_usage": _json({"global": round(random.uniform(5, 95), 8)}),
        "total_cpu_energy_usage_kwh": _json({"total": round(energy, 8)}),
        "total_cpu_emissions_gms": _json({name: round(energy * factor, 8) for name, factor in factors.items()}),
        "avg_gpu_usage": _json({"global": round(gpu_busy, 8)} if gpu else {}),
        "avg_gpu_mem_usage": _json({"global": round(random.uniform(5, 95), 8)} if gpu else {}),
        "total_gpu_energy_usage_kwh": _json({"total": round(gpu_energy, 8)} if gpu else {}),
        "total_gpu_emissions_gms": _json({n: round(gpu_energy * f, 8) for n, f in factors.items()} if gpu else {}),
        "total_io_write_stats": _traffic("requests"),
        "total_io_read_stats": _traffic("requests"),
        "total_ingress_stats": _traffic("packets"),
        "total_egress_stats": _traffic("packets"),
    }


def _traffic(things: str) -> str:
    return _json({"bytes": random.randint(10**6, 10**10), things: random.randint(10**3, 10**6)})


def _text(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S%z")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _batch(rows: list[dict[str, Any]], names: tuple[str, ...]) -> pa.RecordBatch:
    schema = pa.schema([(name, pa.int64() if name in _NUMBERS else pa.string()) for name in names])
    return pa.RecordBatch.from_pylist(rows, schema=schema)
