"""Database files for tests of the store."""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ceems_grpc.demo.schema import LATEST_VERSION, create_schema
from tests.model.databases import insert_rows

PARIS = ZoneInfo("Europe/Paris")
SUMMER, WINTER = 1_751_356_800, 1_764_576_000  # 2025-07-01 and 2025-12-01, 08:00 UTC


def unit(index: int, ended: int = WINTER, zone: ZoneInfo = PARIS, **columns: Any) -> dict[str, Any]:
    """Return a unit that ended at the moment, an hour after it started."""

    def text(moment: int, layout: str = "%Y-%m-%dT%H:%M:%S%z") -> str:
        return datetime.fromtimestamp(moment, zone).strftime(layout)

    return {
        "cluster_id": "slurm-0",
        "resource_manager": "slurm",
        "uuid": str(index),
        "project": "alpha",
        "username": "ann",
        "created_at": text(ended - 3600),
        "started_at": text(ended - 3600),
        "ended_at": text(ended),
        "created_at_ts": (ended - 3600) * 1000,
        "started_at_ts": (ended - 3600) * 1000,
        "ended_at_ts": ended * 1000,
        "total_time_seconds": '{"walltime":3600}',
        "ignore": 0,
        "last_updated_at": text(ended, "%Y-%m-%dT%H:%M:%S"),
        **columns,
    }


def make(
    path: Path, units: list[dict[str, Any]] | int = 1, *, version: int = LATEST_VERSION, journal: str = "delete"
) -> Path:
    """Make a database with units; a number makes so many of them."""
    rows = [unit(index) for index in range(units)] if isinstance(units, int) else units
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("BEGIN")
        create_schema(connection, version)
        insert_rows(connection, "units", rows)
        connection.execute("COMMIT")
    return path
