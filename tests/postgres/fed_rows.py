"""What PostgreSQL must contain for a database file, computed from the file independently of the feeder."""

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.postgres.servers import Server

_OWN = {"site", "part", "#row", "#digest", "#large", "#moment", "#day", "clusters", "#hour", "#units"}
DATED_TABLES = ("units", "usage", "daily_usage")
TABLES = (*DATED_TABLES, "users", "projects", "admin_users")
Row = dict[str, Any]


def check_fed(path: Path, server: Server, database: str, site: str = "a") -> None:
    """Check that PostgreSQL has exactly the rows of the file, and that the rollups are their sums."""
    for table in TABLES:
        wanted = rows_of_file(path, table)
        found = rows_of_postgres(server, database, table, site)
        assert found.keys() == wanted.keys(), table
        for row, values in wanted.items():
            assert found[row] == values, (table, row)
    check_rollups(server, database, site)


def rows_of_file(path: Path, table: str) -> dict[int, Row]:
    """Return the rows by id, with the values of JSON metrics as ``metric.key``; missing values are left out."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        found = connection.execute(f"SELECT rowid AS row_id, * FROM {table}").fetchall() if exists else []
    rows: dict[int, Row] = {}
    for item in found:
        row: Row = {}
        for name in item.keys():  # noqa: SIM118 - a row of SQLite iterates over values
            value = item[name]
            if name.startswith(("total_", "avg_")):
                row |= {f"{name}.{key}": float(number) for key, number in (json.loads(value or "{}") or {}).items()}
            elif name != "row_id" and value is not None:
                row[name] = value
        rows[item["row_id"]] = row
    return rows


def rows_of_postgres(server: Server, database: str, table: str, site: str) -> dict[int, Row]:
    """Return the rows by id in the same form, without the rows that are kept as history."""
    catalog = server.rows(f"SELECT layout::text FROM ceems.catalog WHERE table_name = '{table}'", database)
    if not catalog:
        return {}
    keys = {
        place: f"{metric}.{key}"
        for metric, known in json.loads(str(catalog[0][0]))["keys"].items()
        for key, place in known.items()
    }
    names = [
        str(name)
        for (name,) in server.rows(
            "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped"
            f" AND attrelid = 'ceems.{table}'::regclass ORDER BY attnum",
            database,
        )
    ]
    listed = ", ".join(f'"{name}"' for name in names)
    rows: dict[int, Row] = {}
    statement = f"SELECT {listed} FROM ceems.{table} WHERE site = '{site}' AND \"#row\" >= 0"
    for values in server.rows(statement, database):
        found = dict(zip(names, values, strict=True))
        row_id = int(str(found["#row"]))
        assert row_id not in rows, f"row {row_id} of {table} is there twice"
        rows[row_id] = {
            keys.get(name, name): value
            for name, value in found.items()
            if value is not None and name not in _OWN and not name.startswith(("#list:", "#json:"))
        }
    return rows


def check_rollups(server: Server, database: str, site: str = "a") -> None:
    """Check all sums of hours and days against sums of the units that Python computes."""
    (layout,) = server.rows("SELECT layout::text FROM ceems.catalog WHERE table_name = 'units'", database)
    catalog = json.loads(str(layout[0]))
    groups = ("part", "cluster_id", "resource_manager", "project", "groupname", "username")
    places = {place: metric for metric, known in catalog["keys"].items() for place in known.values()}
    weights = {metric: catalog["keys"]["total_time_seconds"].get(key) for metric, key in catalog["weights"].items()}
    columns = ", ".join(f'"{name}"' for name in ("#moment", *groups, *places))
    units = server.rows(
        f"SELECT {columns} FROM ceems.units WHERE site = '{site}' AND \"#moment\" IS NOT NULL", database
    )
    for table, time, length in (("units_hourly", "#hour", 3600), ("units_daily", "#day", 86400)):
        wanted: dict[tuple[object, ...], dict[str, float | None]] = {}
        for moment, *values in units:
            group = (int(str(moment)) // length * length, *values[: len(groups)])
            sums = wanted.setdefault(group, {"#units": 0})
            _add(sums, "#units", 1)
            shown = {place: _shown(value) for place, value in zip(places, values[len(groups) :], strict=True)}
            for place, value in shown.items():
                _add(sums, place, value)
                if value is not None and (metric := places[place]) in weights:
                    weight = (shown[weights[metric]] if weights[metric] else None) or 0.0
                    _add(sums, f"#weighted:{place}", value * weight)
                    _add(sums, f"#weight:{place}", weight)
        names = ["#units", *places]
        names += [f"#{kind}:{place}" for place in places if places[place] in weights for kind in ("weighted", "weight")]
        listed = ", ".join(f'"{name}"' for name in (time, *groups, *names))
        found = {
            tuple(row[: len(groups) + 1]): dict(zip(names, row[len(groups) + 1 :], strict=True))
            for row in server.rows(f"SELECT {listed} FROM ceems.{table} WHERE site = '{site}'", database)
        }
        assert found.keys() == wanted.keys(), table
        for group, sums in wanted.items():
            for name in names:
                assert _same(found[group][name], sums.get(name)), (table, group, name)


def _shown(value: object) -> float | None:
    if value is None:
        return None
    number = float(str(value))
    return 0.0 if math.isnan(number) else None if math.isinf(number) else number


def _add(sums: dict[str, float | None], name: str, value: float | None) -> None:
    if value is not None:
        sums[name] = (sums.get(name) or 0.0) + value


def _same(found: object, wanted: float | None) -> bool:
    if found is None or wanted is None:
        return found is None and wanted is None
    return math.isclose(float(str(found)), wanted, rel_tol=1e-9, abs_tol=1e-9)
