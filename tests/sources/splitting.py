"""Splits a database into several by cluster, as if each cluster's site had its own."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.model.data import Row
from tests.model.databases import CLUSTERS, Contents
from tests.support.ceems_schema import create_schema
from tests.support.databases import insert_rows

BY_CLUSTER = ("units", "usage", "daily_usage", "users", "projects")


def split(contents: Contents, places: dict[str, int], count: int) -> list[Contents]:
    """Return ``count`` databases: ``places`` states where the rows of each cluster go; administrators are in all."""
    parts = []
    for number in range(count):
        tables = {
            table: [row for row in contents.tables.get(table, []) if places[row["cluster_id"]] == number]
            for table in BY_CLUSTER
        }
        tables["admin_users"] = list(contents.tables["admin_users"])
        parts.append(Contents(contents.zone, contents.turn, tables))
    return parts


def write_version(contents: Contents, path: Path, version: int) -> Path:
    """Write a database with an older schema; what it has no column for is not written."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        create_schema(connection, version)
        for table, rows in contents.tables.items():
            known = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
            if table == "admin_users" and "users" in known:
                rows = [_as_list(rows)] if rows else []  # noqa: PLW2901 - the older form of the same
            insert_rows(connection, table, [{name: row[name] for name in row if name in known} for row in rows])
        connection.execute("COMMIT")
    return path


def _as_list(rows: list[Row]) -> Row:
    names = ", ".join(f'"{row["name"]}"' for row in rows)
    return {"source": "grafana", "users": f"[{names}]"}


def all_clusters() -> list[str]:
    """Return the ids that random databases use."""
    return sorted(CLUSTERS)
