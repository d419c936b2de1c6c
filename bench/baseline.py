"""The measured queries as plain SQL over the JSON columns: the statements that a REST server on this file must run.

Usage: find the keys of each metric with json_each, all metrics in parallel, then run one query that joins json_each
once per key, sums and groups. Units: count the rows, then read all columns, and decode and write each JSON text.
Stats: one aggregate. pkg/api/http/server.go and querier.go of ceems-dev/ceems do the same.
"""

import json
import math
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

WEIGHTS = {
    "avg_cpu_usage": "alloc_cputime",
    "avg_cpu_mem_usage": "alloc_cpumemtime",
    "avg_gpu_usage": "alloc_gputime",
    "avg_gpu_mem_usage": "alloc_gpumemtime",
}
METRICS = (
    "total_time_seconds", "avg_cpu_usage", "avg_cpu_mem_usage", "total_cpu_energy_usage_kwh",
    "total_cpu_emissions_gms", "avg_gpu_usage", "avg_gpu_mem_usage", "total_gpu_energy_usage_kwh",
    "total_gpu_emissions_gms", "total_io_write_stats", "total_io_read_stats", "total_ingress_stats",
    "total_egress_stats",
)  # fmt: skip
_MEMBERS = "project IN (SELECT name FROM projects WHERE EXISTS (SELECT 1 FROM json_each(users)))"


class Baseline:
    """A plain connection to the database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = self._connect()

    def usage(self, metrics: tuple[str, ...], window: tuple[str, str]) -> int:
        """Sum metrics by user and project over units updated between two local times; return the number of rows."""
        shown, joined = ["cluster_id", "username", "project", "COUNT(u.id)"], dict[str, None]()
        with ThreadPoolExecutor(len(metrics)) as threads:
            found = list(threads.map(lambda metric: self._keys(metric, window), metrics))
        for metric, keys in zip(metrics, found, strict=True):
            for key in keys:
                value = f"{metric}_{key}"
                joined[f"json_each(u.{metric}, '$.{key}') AS {value}"] = None
                if metric in WEIGHTS:
                    weight = f"total_time_seconds_{WEIGHTS[metric]}"
                    joined[f"json_each(u.total_time_seconds, '$.{WEIGHTS[metric]}') AS {weight}"] = None
                    shown.append(f"SUM({value}.value * {weight}.value) / SUM({weight}.value)")
                else:
                    shown.append(f"SUM({value}.value)")
        sql = (
            f"SELECT {', '.join(shown)} FROM (units AS u LEFT JOIN {' LEFT JOIN '.join(joined)})"  # noqa: S608
            f" WHERE {_MEMBERS} AND last_updated_at BETWEEN ? AND ?"
            " GROUP BY cluster_id, username, project ORDER BY cluster_id, username, project"
        )
        return len(self._connection.execute(sql, window).fetchall())

    def distribution(self, metric: str, key: str, window: tuple[str, str]) -> int:
        """Count units updated between two local times by cluster and bucket of a value; return the number of counts."""
        sql = (
            f"SELECT cluster_id, json_extract({metric}, ?) FROM units"  # noqa: S608 - a name from above
            f" WHERE {_MEMBERS} AND last_updated_at BETWEEN ? AND ?"
        )
        rows = self._connection.execute(sql, (f"$.{key}", *window))
        return len(Counter((cluster, value and int(math.log(value) * 50)) for cluster, value in rows))

    def units(self, window: tuple[str, str]) -> int:
        """Count units that ended between two times (text with offset); read, decode and write all their columns."""
        chosen = "FROM units WHERE ignore = 0 AND ended_at BETWEEN ? AND ? ORDER BY cluster_id, uuid"
        self._connection.execute(f"SELECT COUNT(*) {chosen}", window).fetchone()
        cursor = self._connection.execute(f"SELECT * {chosen}", window)
        names = [column[0] for column in cursor.description]
        count = 0
        for row in cursor:
            unit = dict(zip(names, row, strict=True))
            for name in ("allocation", "tags", *METRICS):
                unit[name] = json.loads(unit[name])
            count += bool(json.dumps(unit))
        return count

    def stats(self, window: tuple[str, str]) -> int:
        """Count units, projects and users per cluster."""
        sql = (
            "SELECT cluster_id, resource_manager, COUNT(*), COUNT(CASE WHEN ended_at_ts > 0 THEN 1 END),"
            " COUNT(CASE WHEN ended_at_ts = 0 THEN 1 END), COUNT(DISTINCT project), COUNT(DISTINCT username)"
            " FROM units WHERE (ended_at BETWEEN ? AND ? OR ended_at_ts IN (0)) GROUP BY cluster_id"
        )
        return len(self._connection.execute(sql, window).fetchall())

    def own_day(self, user: str, window: tuple[int, int]) -> int:
        """Read one user's units between two moments (seconds since 1970): the bare statement, which uses the index."""
        sql = (
            "SELECT * FROM units WHERE ignore = 0 AND username = ? AND ended_at_ts BETWEEN ? AND ?"
            " AND cluster_id IN (SELECT DISTINCT cluster_id FROM projects) ORDER BY cluster_id, uuid"
        )
        return len(self._connection.execute(sql, (user, window[0] * 1000, window[1] * 1000)).fetchall())

    def busiest_user(self) -> str:
        """Return the user with the most units."""
        sql = "SELECT username FROM usage GROUP BY username ORDER BY SUM(num_units) DESC LIMIT 1"
        return str(self._connection.execute(sql).fetchone()[0])

    def _keys(self, metric: str, window: tuple[str, str]) -> list[str]:
        sql = (
            f"SELECT DISTINCT json_each.key FROM units, json_each({metric})"  # noqa: S608 - a name from above
            " WHERE json_each.key IS NOT NULL AND last_updated_at BETWEEN ? AND ?"
        )
        with closing(self._connect()) as connection:
            return [key for (key,) in connection.execute(sql, window)]

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
