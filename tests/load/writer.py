"""Writes to a CEEMS database as ceems_api_server does, but without pauses.

    python -m tests.load.writer DATABASE [--seconds 60] [--pause 1.0] [--units 100]

One transaction per update, as pkg/api/db/db.go of ceems-dev/ceems has it: rows older than the retention period are
deleted, every unit is upserted into units, usage and daily_usage with values that add up, users and projects are
written again. The connection is set up as that server's: WAL, synchronous off, a busy timeout of 5 s, and SQLite's own
automatic checkpoint after 1,000 pages. Time flies: with every tenth update the retention period is a day shorter.

For every commit a JSON line is printed: its number, how long the transaction waited for its lock, how long it took,
and how large the log beside the database is. The last line sums up.

Readers can tell torn and stale answers by the ledger (see `Ledger`), which every commit touches.
"""

import argparse
import json
import random
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ceems_grpc.demo.schema import METRIC_COLUMNS

ZONE = ZoneInfo("Europe/Paris")
MOMENT, STAMP = "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S"
WEIGHTS = {
    "avg_cpu_usage": "alloc_cputime",
    "avg_cpu_mem_usage": "alloc_cpumemtime",
    "avg_gpu_usage": "alloc_gputime",
    "avg_gpu_mem_usage": "alloc_gpumemtime",
}
_SHORTEST_RETENTION = 180  # days
_RUNS_FOR = 6  # updates
Row = dict[str, Any]


class Ledger:
    """Units of one user that run forever, and whose numbers add up at every commit, but at no moment in between.

    After commit number n every unit's ``alloc_cputime`` is n, their ``walltime`` together is `UNITS` * `SHARE`, and the
    user's row of table usage holds the sums of both: `UNITS` * n and `UNITS` * `SHARE`.
    """

    USER = PROJECT = "load-ledger"
    UNITS = 20
    SHARE = 1_000_000

    @classmethod
    def commits(cls, connection: sqlite3.Connection) -> int:
        """Return the number of the newest commit; raises ValueError if the ledger does not add up."""
        texts = connection.execute("SELECT total_time_seconds FROM units WHERE username = ?", (cls.USER,)).fetchall()
        kept = connection.execute("SELECT total_time_seconds FROM usage WHERE username = ?", (cls.USER,)).fetchall()
        times = [json.loads(text) for (text,) in texts]
        total = [json.loads(text) for (text,) in kept]
        if not times and not total:
            return 0
        number = int(times[0]["alloc_cputime"])
        wanted = {"alloc_cputime": cls.UNITS * number, "walltime": cls.UNITS * cls.SHARE}
        summed = {key: sum(time[key] for time in times) for key in wanted}
        if len(times) != cls.UNITS or {time["alloc_cputime"] for time in times} != {number}:
            raise ValueError(f"the ledger's units are not of one commit: {times}")
        if summed != wanted or total != [wanted]:
            raise ValueError(f"the ledger does not add up: units {summed}, usage {total}, not {wanted}")
        return number

    @classmethod
    def units(cls, number: int, random_: random.Random) -> Iterator[Row]:
        """Yield the changes of commit ``number`` to the units."""
        moved = [random_.randrange(1000) for _ in range(cls.UNITS // 2)]
        shares = [share for amount in moved for share in (amount, -amount)]
        start = cls.SHARE if number == 1 else 0
        for index, share in enumerate(shares):
            times = {"alloc_cputime": 1, "walltime": start + share}
            yield {
                **_unit(f"ledger-{index}", cls.USER, cls.PROJECT, 1_700_000_000),
                **dict.fromkeys(METRIC_COLUMNS, "{}"),
                "total_time_seconds": json.dumps(times),
            }


@dataclass
class KnownSite:
    """The writer's knowledge of the database: the users whom it may write for, and the running units."""

    cluster: tuple[str, str]
    templates: list[Row]
    users: list[Row]
    projects: list[Row]
    oldest: int
    running: dict[int, list[Row]] = field(default_factory=dict)


@dataclass
class Commit:
    """One commit, in milliseconds and bytes. ``refused``: the number of failed attempts to get the lock."""

    commit: int
    waited_ms: float
    took_ms: float
    wal_bytes: int
    refused: int


class Writer:
    """One writer of one database; no other process may write to it."""

    def __init__(self, path: Path, seed: int = 1) -> None:
        self._path = path
        self._random = random.Random(seed)
        self._connection = connection = connect(path)
        self._number = Ledger.commits(connection)
        self._site = _look_at(connection)
        self._statements = {table: _upsert(connection, table) for table in ("units", "usage", "daily_usage")}

    def close(self) -> None:
        self._connection.close()

    def update(self, units: int) -> Commit:
        """Write one update of a number of units, and of the ledger."""
        self._number += 1
        now = int(time.time())
        rows = [*self._changed(units, now), *Ledger.units(self._number, self._random)]
        asked = time.perf_counter()
        refused = self._lock()
        begun = time.perf_counter()
        self._delete_old()
        for row in rows:
            self._write(row, now)
        self._write_people(now)
        self._connection.execute("COMMIT")
        ended = time.perf_counter()
        return Commit(self._number, (begun - asked) * 1000, (ended - begun) * 1000, self.wal_bytes(), refused)

    def wal_bytes(self) -> int:
        """Return the size of the log beside the database."""
        log = self._path.with_name(self._path.name + "-wal")
        return log.stat().st_size if log.exists() else 0

    def _lock(self) -> int:
        # SQLite's own busy handler sleeps up to 100 ms between two tries, which would be measured too.
        deadline = time.perf_counter() + 5
        refused = 0
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.perf_counter() > deadline:
                    raise
                refused += 1
                time.sleep(0.001)
            else:
                return refused

    def _delete_old(self) -> None:
        days = max(self._site.oldest - self._number // 10, _SHORTEST_RETENTION)
        before = f"date('now', '-{days} day')"
        self._connection.execute(f"DELETE FROM units WHERE ended_at <= {before}")
        self._connection.execute(f"DELETE FROM usage WHERE last_updated_at <= {before}")

    def _changed(self, count: int, now: int) -> Iterator[Row]:
        """Yield units that start, continue and end: each runs for some updates."""
        site, number = self._site, self._number
        for row in site.running.pop(number - _RUNS_FOR, []):
            ended = datetime.fromtimestamp(now, ZONE).strftime(MOMENT)
            yield {**row, "ended_at": ended, "ended_at_ts": now * 1000, "state": "COMPLETED"}
        for row in [row for rows in site.running.values() for row in rows]:
            yield row
        started = []
        for index in range(max(count // _RUNS_FOR, 1)):
            template = self._random.choice(site.templates)
            unit = _unit(f"load-{number}-{index}", str(template["username"]), str(template["project"]), now)
            unit |= {name: template[name] for name in ("cluster_id", "resource_manager", "groupname", "allocation")}
            started.append(unit | {name: template[name] for name in METRIC_COLUMNS})
        site.running[number] = started
        yield from started

    def _write(self, row: Row, now: int) -> None:
        stamp = datetime.fromtimestamp(now, ZONE).strftime(STAMP)
        day = datetime.fromtimestamp(now // 86_400 * 86_400, ZONE).strftime(STAMP)
        is_new = int(
            row["started_at_ts"] > (now - 1) * 1000 or (row["uuid"].startswith("ledger") and self._number == 1)
        )
        unit = {"cluster_id": self._site.cluster[0], "resource_manager": self._site.cluster[1], **row}
        unit |= {"num_updates": 1, "last_updated_at": stamp}
        self._connection.execute(self._statements["units"], unit)
        total = unit | {"num_units": is_new}
        self._connection.execute(self._statements["usage"], total)
        self._connection.execute(self._statements["daily_usage"], total | {"last_updated_at": day})

    def _write_people(self, now: int) -> None:
        stamp = datetime.fromtimestamp(now, ZONE).strftime(STAMP)
        cluster, manager = self._site.cluster
        member = {"uid": "", "cluster_id": cluster, "resource_manager": manager, "tags": "null", "id": None}
        for table, listed, rows in (
            ("users", "projects", self._site.users),
            ("projects", "users", self._site.projects),
        ):
            ledger = {**member, "name": Ledger.USER, listed: json.dumps([Ledger.USER])}
            for row in (*rows, ledger):
                self._connection.execute(
                    f"INSERT INTO {table} (uid, cluster_id, resource_manager, name, {listed}, tags, last_updated_at)"
                    f" VALUES (:uid, :cluster_id, :resource_manager, :name, :{listed}, :tags, :now)"
                    f" ON CONFLICT(cluster_id, name) DO UPDATE SET {listed} = :{listed}, tags = :tags,"
                    " last_updated_at = :now",
                    {**row, "now": stamp},
                )


def connect(path: Path) -> sqlite3.Connection:
    """Open a database as ceems_api_server does, with the functions that its statements use."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    connection.create_function("add_metric_map", 2, _add, deterministic=True)
    connection.create_function("avg_metric_map", 4, _average, deterministic=True)
    return connection


def _add(existing: str, new: str) -> str:
    values = dict(json.loads(existing) or {})
    for key, value in (json.loads(new) or {}).items():
        values[key] = values.get(key, 0) + value
    return json.dumps(values, separators=(",", ":"))


def _average(existing: str, new: str, existing_weight: float | None, new_weight: float | None) -> str:
    sums: dict[str, float] = {}
    weights: dict[str, float] = {}
    for text, weight in ((existing, existing_weight or 0.0), (new, new_weight or 0.0)):
        for key, value in (json.loads(text) or {}).items():
            sums[key] = sums.get(key, 0.0) + value * weight
            weights[key] = weights.get(key, 0.0) + weight
    means = {key: total / weights[key] if weights[key] > 0 else total for key, total in sums.items()}
    return json.dumps(means, separators=(",", ":"))


def _look_at(connection: sqlite3.Connection) -> KnownSite:
    connection.row_factory = sqlite3.Row

    def rows(statement: str) -> list[Row]:
        return [dict(row) for row in connection.execute(statement)]

    try:
        templates = rows("SELECT * FROM units WHERE username != 'load-ledger' ORDER BY id DESC LIMIT 500")
        if not templates:
            raise ValueError("The database has no units that can serve as patterns.")
        first = str(rows("SELECT min(ended_at) AS first FROM units WHERE ended_at_ts > 0")[0]["first"])
        days = (datetime.now(UTC) - datetime.strptime(first, MOMENT)).days  # noqa: DTZ007 - it has %z
        people = (rows("SELECT * FROM users LIMIT 50"), rows("SELECT * FROM projects LIMIT 50"))
        cluster = rows("SELECT cluster_id, resource_manager FROM units ORDER BY cluster_id LIMIT 1")[0]
    finally:
        connection.row_factory = None
    return KnownSite((cluster["cluster_id"], cluster["resource_manager"]), templates, *people, days + 1)


def _unit(uuid: str, user: str, project: str, start: int) -> Row:
    """Return a running unit, without its cluster and its measurements."""
    text = datetime.fromtimestamp(start, ZONE).strftime(MOMENT)
    return {
        "uuid": uuid,
        "name": uuid,
        "project": project,
        "groupname": project,
        "username": user,
        "created_at": text,
        "started_at": text,
        "ended_at": "Unknown",
        "created_at_ts": start * 1000,
        "started_at_ts": start * 1000,
        "ended_at_ts": 0,
        "elapsed": "00:15:00",
        "state": "RUNNING",
        "allocation": "{}",
        "tags": "{}",
        "ignore": 0,
    }


def _upsert(connection: sqlite3.Connection, table: str) -> str:
    names = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
    conflict = {
        "units": ("cluster_id", "uuid", "started_at"),
        "usage": ("cluster_id", "username", "project"),
        "daily_usage": ("cluster_id", "username", "project", "last_updated_at"),
    }[table]
    changed = [_change(name) for name in names if name in METRIC_COLUMNS]
    changed += ["num_updates = num_updates + :num_updates", "last_updated_at = :last_updated_at"]
    if table == "units":
        changed += [f'"{n}" = :{n}' for n in ("ended_at", "ended_at_ts", "elapsed", "state", "tags", "ignore")]
    else:
        changed.append("num_units = num_units + :num_units")
    columns, values = ", ".join(f'"{name}"' for name in names), ", ".join(f":{name}" for name in names)
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({values})"
        f" ON CONFLICT({', '.join(conflict)}) DO UPDATE SET {', '.join(changed)}"
    )


def _change(metric: str) -> str:
    key = WEIGHTS.get(metric)
    if key is None:
        return f"{metric} = add_metric_map({metric}, :{metric})"
    weights = ", ".join(
        f"CAST(json_extract({times}, '$.{key}') AS REAL)" for times in ("total_time_seconds", ":total_time_seconds")
    )
    return f"{metric} = avg_metric_map({metric}, :{metric}, {weights})"


def summary(commits: list[Commit]) -> Mapping[str, float]:
    """Return a summary of the commits, for the last line of the output."""
    waits = sorted(commit.waited_ms for commit in commits)
    return {
        "commits": len(commits),
        "waited_ms_p99": waits[int(len(waits) * 0.99)],
        "waited_ms_most": waits[-1],
        "took_ms_most": max(commit.took_ms for commit in commits),
        "wal_bytes_most": max(commit.wal_bytes for commit in commits),
        "wal_bytes_end": commits[-1].wal_bytes,
    }


def _say(values: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two updates")
    parser.add_argument("--units", type=int, default=100, help="units that an update touches")
    options = parser.parse_args()
    commits: list[Commit] = []
    with closing(Writer(options.database)) as writer:
        ends = time.monotonic() + options.seconds
        while not commits or time.monotonic() < ends:
            commits.append(writer.update(options.units))
            _say(vars(commits[-1]))
            time.sleep(options.pause)
    _say(summary(commits))
    return 0


if __name__ == "__main__":
    sys.exit(main())
