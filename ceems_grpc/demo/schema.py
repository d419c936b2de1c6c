"""The tables and indexes that ceems_api_server keeps, for each version of its schema.

What each version has comes from the migrations of ceems-dev/ceems (pkg/api/db/migrations, 1 to 9):

1. units, with `total_outgress_stats`, and two of its indexes
2. usage
3. users
4. projects
5. admin_users, one row per source with a list of names
6. a third index of units
7. daily_usage
8. admin_users, one row per name, shaped like users
9. `total_outgress_stats` is renamed to `total_egress_stats` everywhere
"""

from __future__ import annotations

import sqlite3
from typing import Final

LATEST_VERSION: Final = 9

METRIC_COLUMNS: Final = (
    "total_time_seconds",
    "avg_cpu_usage",
    "avg_cpu_mem_usage",
    "total_cpu_energy_usage_kwh",
    "total_cpu_emissions_gms",
    "avg_gpu_usage",
    "avg_gpu_mem_usage",
    "total_gpu_energy_usage_kwh",
    "total_gpu_emissions_gms",
    "total_io_write_stats",
    "total_io_read_stats",
    "total_ingress_stats",
    "total_egress_stats",
)
"""JSON text columns that units, usage and daily_usage share, in table order, as of the latest version."""

_ID = "id integer NOT NULL PRIMARY KEY"
_MANAGER = "resource_manager text DEFAULT ''"
_UPDATES = ("num_updates integer DEFAULT 0", "last_updated_at text")


def create_tables(connection: sqlite3.Connection, version: int = LATEST_VERSION) -> None:
    """Create the tables of schema `version` without their indexes, which are faster to build after filling."""
    for statement in table_statements(version):
        connection.execute(statement)
    connection.execute("INSERT INTO schema_migrations (version, dirty) VALUES (?, 0)", (version,))


def create_indexes(connection: sqlite3.Connection, version: int = LATEST_VERSION) -> None:
    """Create the indexes of schema `version`; its tables must exist."""
    for statement in index_statements(version):
        connection.execute(statement)


def table_statements(version: int = LATEST_VERSION) -> tuple[str, ...]:
    """Return the CREATE TABLE statements of schema `version`."""
    _check_version(version)
    metrics = tuple(f"{column} text DEFAULT '{{}}'" for column in _metric_columns(version))
    usage = (
        *(_ID, _MANAGER, "cluster_id text", "num_units integer"),
        *("project text", "groupname text", "username text"),
        *metrics,
        *_UPDATES,
    )
    statements = [
        _table("schema_migrations", ("version uint64", "dirty bool")),
        _table("units", _unit_columns(metrics)),
    ]
    if version >= 2:
        statements.append(_table("usage", usage))
    if version >= 3:
        statements.append(_table("users", _name_columns("projects")))
    if version >= 4:
        statements.append(_table("projects", _name_columns("users")))
    if version >= 7:
        statements.append(_table("daily_usage", usage))
    if version >= 8:
        statements.append(_table("admin_users", _ADMIN_COLUMNS))
    elif version >= 5:
        statements.append(_table("admin_users", _OLD_ADMIN_COLUMNS))
    return tuple(statements)


def index_statements(version: int = LATEST_VERSION) -> tuple[str, ...]:
    """Return the CREATE INDEX statements of schema `version`."""
    _check_version(version)
    return tuple(
        f"CREATE {kind} {name} ON {table}"
        for first, last, kind, name, table in _INDEXES
        if first <= version and (last is None or version <= last)
    )


def _check_version(version: int) -> None:
    if not 1 <= version <= LATEST_VERSION:
        raise ValueError(f"There is no schema version {version}: choose one from 1 to {LATEST_VERSION}.")


def _metric_columns(version: int) -> tuple[str, ...]:
    if version >= 9:
        return METRIC_COLUMNS
    return (*METRIC_COLUMNS[:-1], "total_outgress_stats")


def _table(name: str, columns: tuple[str, ...]) -> str:
    return f"CREATE TABLE {name} (\n  " + ",\n  ".join(columns) + "\n)"


def _unit_columns(metrics: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *(_ID, _MANAGER),
        *(f"{column} text" for column in ("cluster_id", "uuid", "name", "project", "groupname", "username")),
        *(f"{column} text" for column in ("created_at", "started_at", "ended_at")),
        *(f"{column} integer" for column in ("created_at_ts", "started_at_ts", "ended_at_ts")),
        *("elapsed text", "state text", "allocation text DEFAULT '{}'", "tags text DEFAULT '{}'"),
        *metrics,
        *('"ignore" integer', *_UPDATES),
    )


def _name_columns(listed: str) -> tuple[str, ...]:
    return (
        *(_ID, "uid text", "cluster_id text", "resource_manager text", "name text"),
        *(f"{listed} text DEFAULT '[]'", "tags text DEFAULT '[]'", "last_updated_at text"),
    )


_ADMIN_COLUMNS = (
    *(_ID, "uid text DEFAULT ''", "cluster_id text DEFAULT 'all'", "resource_manager text DEFAULT ''", "name text"),
    *("projects text DEFAULT '[]'", "tags text DEFAULT '[]'", "last_updated_at text"),
)
_OLD_ADMIN_COLUMNS = (_ID, "source text", "users text DEFAULT '[]'", "last_updated_at text")

# first version, last version (None: still there), kind, name, table and columns
_INDEXES: Final[tuple[tuple[int, int | None, str, str, str], ...]] = (
    (1, None, "UNIQUE INDEX", "version_unique", "schema_migrations (version)"),
    (1, None, "INDEX", "idx_cluster_id_usr_uuid", "units (cluster_id, username, uuid)"),
    (1, None, "UNIQUE INDEX", "uq_cluster_id_uuid_start", "units (cluster_id, uuid, started_at)"),
    (2, None, "UNIQUE INDEX", "uq_cluster_id_project_usr", "usage (cluster_id, username, project)"),
    (3, None, "UNIQUE INDEX", "uq_cluster_id_user", "users (cluster_id, name)"),
    (4, None, "UNIQUE INDEX", "uq_cluster_id_project", "projects (cluster_id, name)"),
    (5, 7, "UNIQUE INDEX", "uq_source", "admin_users (source)"),
    (6, None, "INDEX", "idx_cluster_id_project_user_ended", "units (cluster_id, project, username, ended_at)"),
    (
        *(7, None, "UNIQUE INDEX", "uq_cluster_id_project_usr_lastupdated"),
        "daily_usage (cluster_id, username, project, last_updated_at)",
    ),
    (8, None, "UNIQUE INDEX", "uq_cluster_id_admin_user", "admin_users (cluster_id, name)"),
)
