"""A file of a newer CEEMS, with columns that `ceems_grpc.schema` does not describe."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.databases import SUMMER, SiteDatabase

POWER = "max-power (W)"
TYPES = {
    "total_custom_metrics": "text DEFAULT '{}'",
    "avg_custom_metrics": "text DEFAULT '{}'",
    "min_custom_metrics": "text DEFAULT '{}'",
    "max_custom_metrics": "text DEFAULT '{}'",
    "labels": "text",
    "queue": "text",
    "nodes": "integer",
    "share": "real",
}
"""The new columns of units and their declarations."""


def add_columns(path: Path) -> None:
    """Add the columns to the tables of metrics, as a migration does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("units", "usage", "daily_usage"):
            for name, kind in TYPES.items():
                if table == "units" or "custom" in name:
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def fill(path: Path) -> None:
    """Give the units 1 and 2 of ann values in the new columns; unit 3 has none."""
    rows = {
        1: ('{"flops":1}', '{"load":10}', '{"power":5}', f'{{"{POWER}":300}}', '{"a.b/c":"x","n":[1]}', "gpu", 4, 0.1),
        2: ('{"flops":2.5}', '{"load":40}', '{"power":2}', f'{{"{POWER}":100}}', '{"a.b/c":"y"}', "cpu", 12, 2),
    }
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assignments = ", ".join(f"{name} = ?" for name in TYPES)
        for uuid, values in rows.items():
            connection.execute(f"UPDATE units SET {assignments} WHERE uuid = ?", [*values, str(uuid)])


def make_old(path: Path, cluster: str = "slurm-0") -> Path:
    """Write a file without the new columns: three units of ann, who is in project alpha; wall times 100, 100, 100."""
    with SiteDatabase(path) as site:
        site.project("alpha", ["ann"], cluster=cluster)
        site.user("ann", ["alpha"], cluster=cluster)
        for uuid in ("1", "2", "3"):
            site.unit(uuid, "ann", "alpha", SUMMER, cluster=cluster)
    return path


def make_new(path: Path, cluster: str = "slurm-0") -> Path:
    """Write a file with the new columns and values in them."""
    make_old(path, cluster)
    add_columns(path)
    fill(path)
    return path
