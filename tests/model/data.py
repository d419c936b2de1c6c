"""Reads a CEEMS database into lists of dicts, and interprets its texts, in the plainest Python."""

import json
import math
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]

METRICS = (
    *("total_time_seconds", "avg_cpu_usage", "avg_cpu_mem_usage"),
    *("total_cpu_energy_usage_kwh", "total_cpu_emissions_gms"),
    *("avg_gpu_usage", "avg_gpu_mem_usage", "total_gpu_energy_usage_kwh", "total_gpu_emissions_gms"),
    *("total_io_write_stats", "total_io_read_stats", "total_ingress_stats", "total_egress_stats"),
)
PLAIN_UNIT_COLUMNS = (
    *("cluster_id", "resource_manager", "uuid", "name", "project", "groupname", "username"),
    *("created_at", "started_at", "ended_at", "created_at_ts", "started_at_ts", "ended_at_ts", "elapsed", "state"),
)
UNIT_COLUMNS = (*PLAIN_UNIT_COLUMNS, "allocation", *METRICS, "tags")
USAGE_COLUMNS = ("cluster_id", "resource_manager", "num_units", "project", "groupname", "username", *METRICS)
OBJECTS = ("allocation", *METRICS, "tags")
TABLES = ("units", "usage", "daily_usage", "users", "projects", "admin_users")


def read_tables(path: Path) -> dict[str, list[Row]]:
    """Return every table of the file as a list of dicts, ordered by id."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {
            table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")]
            for table in TABLES
            if table in there
        }


def object_of(text: str | None) -> dict[str, Any]:
    """Return the values of a JSON object without nulls; anything that is not an object has no values."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return {}
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else {}


def list_of(text: str | None) -> list[Any]:
    try:
        value = json.loads(text or "")
    except ValueError:
        return []
    return value if isinstance(value, list) else []


def number(value: object) -> float:
    """Return a metric's value: anything that is not a finite number counts as 0."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(float(value)):
        return float(value)
    return 0.0


def metric(row: Row, column: str) -> dict[str, float]:
    return {key: number(value) for key, value in object_of(row.get(column)).items()}


def updated(row: Row, zone: ZoneInfo) -> int:
    """Return when a row was last written, in seconds since 1970; the text is a local time without an offset.

    In the hour that repeats, a text stands for two moments: the first one is taken, unless the unit ended after it.
    """
    local = datetime.fromisoformat(row["last_updated_at"][:19])
    first = int(local.replace(tzinfo=zone, fold=0).timestamp())
    second = int(local.replace(tzinfo=zone, fold=1).timestamp())
    ended = row.get("ended_at_ts") or 0
    return second if ended // 1000 > first else first
