"""CEEMS databases with the rows that a test states, written as ceems_api_server writes them, with local times of
Europe/Paris.

Moments are seconds since 1970.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from ceems_grpc.demo.schema import LATEST_VERSION
from tests.support.ceems_schema import create_schema

PARIS = ZoneInfo("Europe/Paris")
SUMMER, WINTER = 1_751_356_800, 1_764_576_000  # 2025-07-01 and 2025-12-01, 08:00 UTC
NOON = 1_750_000_000  # 2025-06-15, 15:06:40 UTC
DAY = 86_400
MANAGERS = {"slurm": "slurm", "os": "openstack", "k8s": "k8s"}
TIMES = {"walltime": 100, "alloc_cputime": 100, "alloc_cpumemtime": 100, "alloc_gputime": 100, "alloc_gpumemtime": 100}


def stamp(moment: int, zone: ZoneInfo = PARIS) -> str:
    """Format a moment as columns such as started_at store it."""
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%dT%H:%M:%S%z")


def local(moment: int, zone: ZoneInfo = PARIS) -> str:
    """Format a moment as last_updated_at stores it."""
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%dT%H:%M:%S")


def insert_rows(connection: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; each may have different columns."""
    for row in rows:
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def unit(index: int, ended: int = WINTER, zone: ZoneInfo = PARIS, **columns: Any) -> dict[str, Any]:
    """Return a unit that ended at the given moment and ran for an hour."""
    return {
        "cluster_id": "slurm-0",
        "resource_manager": "slurm",
        "uuid": str(index),
        "project": "alpha",
        "username": "ann",
        "created_at": stamp(ended - 3600, zone),
        "started_at": stamp(ended - 3600, zone),
        "ended_at": stamp(ended, zone),
        "created_at_ts": (ended - 3600) * 1000,
        "started_at_ts": (ended - 3600) * 1000,
        "ended_at_ts": ended * 1000,
        "total_time_seconds": '{"walltime":3600}',
        "ignore": 0,
        "last_updated_at": local(ended, zone),
        **columns,
    }


def make(
    path: Path, units: list[dict[str, Any]] | int = 1, *, version: int = LATEST_VERSION, journal: str = "delete"
) -> Path:
    """Make a database with the given units, or with a given number of units."""
    rows = [unit(index) for index in range(units)] if isinstance(units, int) else units
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("BEGIN")
        create_schema(connection, version)
        insert_rows(connection, "units", rows)
        connection.execute("COMMIT")
    return path


class SiteDatabase:
    """A database that stays open for changes; moments are seconds since the epoch."""

    def __init__(self, path: Path, version: int = LATEST_VERSION) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = OFF")
        create_schema(self.connection, version)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def unit(
        self,
        uuid: str,
        user: str,
        project: str,
        ended: int | None,
        *,
        updated: int | None = None,
        started: int | None = None,
        cluster: str = "slurm-0",
        **columns: Any,
    ) -> None:
        """Add a unit that ended at a moment, or still runs (None). It was last updated when it ended, by default."""
        begin = started if started is not None else (ended if ended is not None else (updated or 0)) - 100
        touched = updated if updated is not None else ended
        assert touched is not None
        row = {
            "uuid": uuid,
            "name": f"job-{uuid}",
            "created_at": stamp(begin),
            "started_at": stamp(begin),
            "ended_at": "Unknown" if ended is None else stamp(ended),
            "created_at_ts": begin * 1000,
            "started_at_ts": begin * 1000,
            "ended_at_ts": 0 if ended is None else ended * 1000,
            "elapsed": "00:01:40",
            "state": "RUNNING" if ended is None else "COMPLETED",
            "allocation": {"cpus": 1},
            "tags": {"partition": "cpu"},
            "total_time_seconds": TIMES,
            "ignore": 0,
            "num_updates": 1,
        }
        self._insert("units", {**self._owner(cluster, project, user, touched), **row, **columns})

    def usage(
        self, user: str, project: str, updated: int, *, cluster: str = "slurm-0", daily: bool = False, **columns: Any
    ) -> None:
        """Add a row to usage, or to daily_usage."""
        row = {**self._owner(cluster, project, user, updated), "num_units": 1, "total_time_seconds": TIMES}
        self._insert("daily_usage" if daily else "usage", {**row, **columns})

    def project(self, name: str, users: list[str], *, cluster: str = "slurm-0") -> None:
        self._insert(
            "projects", {"uid": f"p-{name}", "cluster_id": cluster, "resource_manager": _manager(cluster), "name": name}
            | {"users": users, "tags": [], "last_updated_at": local(0)},
        )  # fmt: skip

    def user(self, name: str, projects: list[str], *, cluster: str = "slurm-0") -> None:
        self._insert(
            "users", {"uid": f"u-{name}", "cluster_id": cluster, "resource_manager": _manager(cluster), "name": name}
            | {"projects": projects, "tags": [], "last_updated_at": local(0)},
        )  # fmt: skip

    def admin(self, name: str) -> None:
        self._insert("admin_users", {"name": name, "last_updated_at": local(0)})

    def _owner(self, cluster: str, project: str, user: str, updated: int) -> dict[str, Any]:
        return {
            "cluster_id": cluster,
            "resource_manager": _manager(cluster),
            "project": project,
            "groupname": f"group-{project}",
            "username": user,
            "last_updated_at": local(updated),
        }

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        written = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}
        insert_rows(self.connection, table, [written])


def _manager(cluster: str) -> str:
    return MANAGERS[cluster.partition("-")[0]]
