"""Writes the demo database, as the ceems_api_server of a medium-sized HPC, cloud and Kubernetes centre would."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

from ceems_grpc.demo.centre import ClusterLoad, build_loads
from ceems_grpc.demo.clock import DAY, SiteClock
from ceems_grpc.demo.emissions import CarbonIntensity
from ceems_grpc.demo.people import ADMIN_USERS, STAFF_USER, People, invent_people
from ceems_grpc.demo.rhythm import HOUR, hourly_counts
from ceems_grpc.demo.schema import create_indexes, create_tables
from ceems_grpc.demo.totals import USAGE_COLUMNS, UsageTotals
from ceems_grpc.demo.units import UNIT_COLUMNS, UPDATE_SECONDS, DemoUnit, UnitMaker, Updates
from ceems_grpc.demo.work import Cluster

MINIMUM_UNITS: Final = 20
_BATCH: Final = 2000
_LONGEST_TAIL: Final = 20 * HOUR  # the last units started at most this long ago, and are written out of order


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What was written: the path, row counts, units that had not ended, and the last update (aware, UTC)."""

    path: Path
    units: int
    running: int
    users: int
    projects: int
    daily_rows: int
    clusters: tuple[str, ...]
    updated: datetime


def write_demo_database(
    path: Path | str,
    *,
    seed: int = 1,
    now: datetime | None = None,
    days: int = 120,
    units: int = 20_000,
    users: int = 40,
    zone: str = "Europe/Paris",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> DemoSummary:
    """Write a CEEMS database (schema version 9, WAL mode) with invented but plausible content to `path`.

    The same seed, now, days, units, users and zone give the same rows. `now` is an aware datetime (None: the present);
    the last update is less than 15 minutes before it, and the first unit starts `days` days before that.
    `zone` is the IANA time zone that the texts are written in. `progress` is called with the number of units done and
    `units`, at intervals and at the end.

    The rows are written to a hidden file in the same folder, which then replaces `path`; no -wal or -shm is left over.
    A program that has the replaced file open reads the old rows until it opens `path` again.
    Raises FileExistsError if `path` exists and `overwrite` is false, and ValueError for invalid arguments.
    """
    target = Path(path)
    moment = datetime.now(UTC) if now is None else now
    _check(target, overwrite, moment, days, units)
    plan = _Plan(SiteClock(zone), seed=seed, now=math.floor(moment.timestamp()), days=days, units=units, users=users)
    scratch = _create_scratch(target)
    try:
        with contextlib.closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
            summary = _fill(connection, plan, target, progress)
        _put_in_place(scratch, target, overwrite)
    finally:
        for leftover in (scratch, *_companions(scratch)):
            leftover.unlink(missing_ok=True)
    return summary


def _check(target: Path, overwrite: bool, now: datetime, days: int, units: int) -> None:
    if now.tzinfo is None:
        raise ValueError("now has no time zone: pass an aware datetime, such as datetime.now(UTC).")
    if days < 1:
        raise ValueError(f"{days} days are too few: ask for 1 or more.")
    if units < MINIMUM_UNITS:
        raise ValueError(f"{units} units are too few for a demo: ask for {MINIMUM_UNITS} or more.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {target.parent}: create it, or choose another path.")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: name a file in it, such as {target / 'ceems.db'}.")
    if target.exists() and not overwrite:
        raise _exists(target)


class _Plan:
    """What is drawn before the first unit: people, clusters, counts and factors."""

    def __init__(self, clock: SiteClock, *, seed: int, now: int, days: int, units: int, users: int) -> None:
        random = _random("people", seed)
        self.seed = seed
        self.clock = clock
        self.people: People = invent_people(random, users)
        self.loads: tuple[ClusterLoad, ...] = build_loads(random, self.people)
        self.units = units
        phase = random.randrange(UPDATE_SECONDS)
        last = now - (now - phase) % UPDATE_SECONDS
        self.start = last - days * DAY
        self.hours = days * 24
        self.updates = Updates(last)
        intensity = CarbonIntensity(_random("emissions", seed), self.start, last)
        self.makers = [
            UnitMaker(_random(f"units {load.cluster.id}", seed), load.cluster, clock, intensity, self.updates)
            for load in self.loads
        ]
        self.random = _random("starts", seed)

    def stream(self) -> Iterator[tuple[Cluster, DemoUnit]]:
        """Make all units, by hour and then by cluster."""
        random, last = self.random, self.updates.last
        # Each cluster ends with a unit that has run for hours, one that just started, and one that waits (if it can).
        # The first is of Grafana's initial user, whose own dashboards have data then.
        waiting = [(load, maker) for load, maker in zip(self.loads, self.makers, strict=True) if load.cluster.waiting]
        tail = 2 * len(self.loads) + len(waiting)
        counts = [
            hourly_counts(random, self.clock, load.rhythm, start=self.start, hours=self.hours, total=share)
            for load, share in zip(self.loads, _shares(self.loads, self.units - tail), strict=True)
        ]
        for hour in range(self.hours):
            begin = self.start + hour * HOUR
            for load, maker, count in zip(self.loads, self.makers, counts, strict=True):
                starts = sorted([begin + int(random.random() * HOUR) for _ in range(count[hour])])
                for start in starts:
                    yield load.cluster, maker.started(start)
        for load, maker in zip(self.loads, self.makers, strict=True):
            yield load.cluster, maker.running(last - random.randrange(2 * HOUR, _LONGEST_TAIL), STAFF_USER)
            yield load.cluster, maker.running(last - random.randrange(UPDATE_SECONDS))
        for load, maker in waiting:
            yield load.cluster, maker.pending()


def _shares(loads: tuple[ClusterLoad, ...], units: int) -> list[int]:
    shares = [int(units * load.share) for load in loads]
    shares[0] += units - sum(shares)
    return shares


def _fill(
    connection: sqlite3.Connection, plan: _Plan, target: Path, progress: Callable[[int, int], None] | None
) -> DemoSummary:
    # No journal is needed: nobody reads the file before it is in place, and a crash leaves only a scratch file.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    create_tables(connection)
    users, projects = _write_people(connection, plan)
    totals = UsageTotals(plan.clock)
    running = daily_rows = done = 0
    batch = []
    insert_unit = _insert("units", UNIT_COLUMNS)
    insert_day = _insert("daily_usage", USAGE_COLUMNS)
    ended_at_ts = UNIT_COLUMNS.index("ended_at_ts")
    started_at_ts = UNIT_COLUMNS.index("started_at_ts")
    for cluster, unit in plan.stream():
        batch.append(unit.row)
        running += unit.row[ended_at_ts] == 0
        started = int(unit.row[started_at_ts]) // 1000
        ran = (started, int(unit.row[ended_at_ts]) // 1000 or unit.updated) if started else (unit.updated, unit.updated)
        totals.add(cluster, unit.member, ran, unit.updated, unit.vector)
        if len(batch) == _BATCH:
            connection.executemany(insert_unit, batch)
            done += len(batch)
            # Another cluster may still add to the hour before the newest start, and the last units to the last hours.
            newest = int(unit.row[started_at_ts]) // 1000
            complete = min(newest - HOUR, plan.updates.last - _LONGEST_TAIL)
            daily_rows += connection.executemany(insert_day, totals.daily_rows(complete)).rowcount
            batch.clear()
            if progress:
                progress(done, plan.units)
    connection.executemany(insert_unit, batch)
    daily_rows += connection.executemany(insert_day, totals.daily_rows()).rowcount
    connection.executemany(_insert("usage", USAGE_COLUMNS), totals.usage_rows())
    create_indexes(connection)
    connection.execute("COMMIT")
    # The journal must be on before the mode can change. Closing the only connection then removes -wal and -shm.
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA journal_mode = WAL")
    if progress:
        progress(plan.units, plan.units)
    return DemoSummary(
        path=target,
        units=plan.units,
        running=running,
        users=users,
        projects=projects,
        daily_rows=daily_rows,
        clusters=tuple(load.cluster.id for load in plan.loads),
        updated=datetime.fromtimestamp(plan.updates.last, UTC),
    )


def _write_people(connection: sqlite3.Connection, plan: _Plan) -> tuple[int, int]:
    """Write users, projects and admin_users; return how many users and projects there are over all clusters."""
    last = plan.updates.last
    stamp = plan.clock.local(last)
    stamps = {"openstack": plan.clock.utc(last), "k8s": plan.clock.with_offset(last)}
    random = _random("uids", plan.seed)
    uids: defaultdict[str, str] = defaultdict(lambda: f"{random.getrandbits(128):032x}")
    names: tuple[set[str], set[str]] = (set(), set())
    for load in plan.loads:
        cluster = load.cluster
        projects_of: defaultdict[str, set[str]] = defaultdict(set)
        users_of: defaultdict[str, set[str]] = defaultdict(set)
        for member in cluster.members:
            projects_of[member.user.name].add(member.project)
            users_of[member.project].add(member.user.name)
        for table, listed, lists in (("users", "projects", projects_of), ("projects", "users", users_of)):
            insert = _insert(
                table, ("uid", "cluster_id", "resource_manager", "name", listed, "tags", "last_updated_at")
            )
            connection.executemany(
                insert,
                [
                    (
                        # Only OpenStack assigns separate ids to users and projects.
                        uids[f"{table} {name}"] if cluster.manager == "openstack" else "",
                        *(cluster.id, cluster.manager, name),
                        json.dumps(sorted(values), separators=(",", ":")),
                        *("null", stamps.get(cluster.manager, stamp)),
                    )
                    for name, values in sorted(lists.items())
                ],
            )
        names[0].update(projects_of)
        names[1].update(users_of)
    connection.executemany(
        _insert("admin_users", ("name", "tags", "last_updated_at")),
        [(name, '["ceems"]', stamp) for name in ADMIN_USERS],
    )
    return len(names[0]), len(names[1])


def _random(purpose: str, seed: int) -> Random:
    """Return a separate generator for each purpose, so that more users, for example, do not change start times."""
    return Random(f"{purpose} {seed}")


def _insert(table: str, columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - constant names


def _create_scratch(target: Path) -> Path:
    """Create an empty file in the folder of `target`, with the permissions that an ordinary new file gets."""
    scratch = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    os.close(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    return scratch


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def _put_in_place(scratch: Path, target: Path, overwrite: bool) -> None:
    if not overwrite and target.exists():
        raise _exists(target)
    # SQLite would replay the old file's -wal into the new one, so it must be gone before the new file appears.
    for stale in _companions(target):
        stale.unlink(missing_ok=True)
    scratch.replace(target)


def _exists(target: Path) -> FileExistsError:
    return FileExistsError(f"{target} exists: choose another path, or ask to overwrite it.")
