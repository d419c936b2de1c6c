"""One site as each version of CEEMS stores it, and as future versions might."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ceems_grpc.schema import NEWEST_VERSION
from tests.support.ceems_schema import create_schema
from tests.support.databases import PARIS, WINTER, insert_rows, unit

METRICS = {
    "total_time_seconds": json.dumps({"walltime": 3600, "alloc_cputime": 7200, "alloc_gputime": 3600}),
    "avg_cpu_usage": json.dumps({"global": 40.0}),
    "avg_gpu_usage": json.dumps({"global": 10.0}),
    "total_cpu_energy_usage_kwh": json.dumps({"total": 2.5}),
}
EGRESS = json.dumps({"bytes": 7.0})


def site(path: Path, version: int) -> Path:
    """Write a site with two users, a project and an administrator, in the tables of the version."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN")
        create_schema(connection, version)
        egress = {"total_egress_stats" if version >= 9 else "total_outgress_stats": EGRESS}
        rows = [
            unit(index, WINTER + index, PARIS, username=name, **METRICS, **egress) for index, name in enumerate("ab")
        ]
        insert_rows(connection, "units", rows)
        if version >= 2:
            insert_rows(connection, "usage", [_usage(name, "2025-12-01T09:00:05", egress) for name in "ab"])
        if version >= 3:
            insert_rows(connection, "users", [_named(name, "projects", ["alpha"]) for name in "ab"])
        if version >= 4:
            insert_rows(connection, "projects", [_named("alpha", "users", ["a", "b"])])
        if version >= 7:
            insert_rows(connection, "daily_usage", [_usage(name, "2025-12-01T09:00:00", egress) for name in "ab"])
        if version >= 8:
            insert_rows(connection, "admin_users", [{"name": "root", "cluster_id": "all"}])
        elif version >= 5:
            insert_rows(connection, "admin_users", [{"source": "ceems", "users": '["root"]'}])
        connection.execute("COMMIT")
    return path


def future_site(path: Path) -> Path:
    """Write the site as a future version may store it: with more tables and columns, and columns in another order."""
    site(path, NEWEST_VERSION)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE schema_migrations SET version = {NEWEST_VERSION + 3}")
        connection.execute("CREATE TABLE partitions (id integer PRIMARY KEY, name text)")
        connection.execute(
            "CREATE TABLE units_new (avg_npu_usage text DEFAULT '{\"global\":1}', planet text DEFAULT 'x')"
        )
        ((old,),) = connection.execute("SELECT group_concat(name) FROM pragma_table_info('units')").fetchall()
        names = [f'"{name}"' for name in str(old).split(",")][::-1]
        for name in names:
            kind = "integer" if name.endswith('_ts"') or name in {'"id"', '"ignore"', '"num_updates"'} else "text"
            connection.execute(f"ALTER TABLE units_new ADD COLUMN {name} {kind}")
        connection.execute(f"INSERT INTO units_new ({','.join(names)}) SELECT {','.join(names)} FROM units")
        connection.execute("DROP TABLE units")
        connection.execute("ALTER TABLE units_new RENAME TO units")
        for table in ("usage", "users", "projects", "admin_users", "daily_usage"):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN planet text DEFAULT 'earth'")
    return path


def _usage(name: str, updated: str, egress: dict[str, str]) -> dict[str, Any]:
    return {
        "cluster_id": "slurm-0",
        "resource_manager": "slurm",
        "num_units": 1,
        "project": "alpha",
        "username": name,
        "last_updated_at": updated,
        **METRICS,
        **egress,
    }


def _named(name: str, listed: str, names: list[str]) -> dict[str, Any]:
    return {"cluster_id": "slurm-0", "resource_manager": "slurm", "name": name, listed: json.dumps(names)}
