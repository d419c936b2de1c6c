"""Small CEEMS databases, written row by row as ceems_api_server writes them (WAL mode, local times of Europe/Paris)."""

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from ceems_grpc.demo.schema import LATEST_VERSION, create_schema

PARIS = ZoneInfo("Europe/Paris")
MANAGERS = {"slurm": "slurm", "os": "openstack", "k8s": "k8s"}
TIMES = {"walltime": 100, "alloc_cputime": 100, "alloc_cpumemtime": 100, "alloc_gputime": 100, "alloc_gpumemtime": 100}


class Site:
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
        """Add a unit that ended at a moment, or (None) runs; it was updated when it ended if not said otherwise."""
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
        """Add a row to the totals, or to the totals of a day."""
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
        names = ", ".join(f'"{name}"' for name in row)
        values = [json.dumps(value) if isinstance(value, (dict, list)) else value for value in row.values()]
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", values)


def stamp(moment: int) -> str:
    """Write a moment as columns such as started_at hold it."""
    return datetime.fromtimestamp(moment, PARIS).strftime("%Y-%m-%dT%H:%M:%S%z")


def local(moment: int) -> str:
    """Write a moment as last_updated_at holds it."""
    return datetime.fromtimestamp(moment, PARIS).strftime("%Y-%m-%dT%H:%M:%S")


def _manager(cluster: str) -> str:
    return MANAGERS[cluster.partition("-")[0]]


# A site with every kind of user. What belongs to whom can be told from each name.
NOON = 1_750_000_000
DAY = 86_400


def write_people_site(path: Path) -> None:
    """Write a site where ann and bob share project alpha, cat has beta; alpha on os-0 is another project, of dan.

    alpha:svc is alpha's service account on slurm-0; root is an administrator; eve is known but has no project.
    """
    with Site(path) as site:
        site.project("alpha", ["ann", "bob", "alpha:svc"])
        site.project("beta", ["cat"])
        site.project("alpha", ["dan"], cluster="os-0")
        for name, projects, cluster in (
            ("ann", ["alpha"], "slurm-0"), ("bob", ["alpha"], "slurm-0"), ("cat", ["beta"], "slurm-0"),
            ("dan", ["alpha"], "os-0"), ("eve", [], "slurm-0"), ("alpha:svc", ["alpha"], "slurm-0"),
        ):  # fmt: skip
            site.user(name, projects, cluster=cluster)
        site.admin("root")
        owners = (("ann", "alpha", "slurm-0"), ("bob", "alpha", "slurm-0"), ("alpha:svc", "alpha", "slurm-0"),
                  ("cat", "beta", "slurm-0"), ("dan", "alpha", "os-0"))  # fmt: skip
        for user, project, cluster in owners:
            key = f"only_{user.replace(':', '_')}"
            metrics: dict[str, Any] = {
                "total_cpu_energy_usage_kwh": {key: 1.5},
                "total_cpu_emissions_gms": {f"{key}_total": 2.5},
            }
            site.unit(
                f"unit-{user}", user, project, NOON, cluster=cluster, tags={"owner": f"tag-{user}"},
                state=f"STATE-{user}", **metrics,
            )  # fmt: skip
            site.usage(user, project, NOON, cluster=cluster, **metrics)
            site.usage(user, project, NOON // DAY * DAY, cluster=cluster, daily=True, **metrics)
