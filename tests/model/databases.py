"""Small random CEEMS databases as real files, with everything that was found in databases of sites, and worse."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.model.data import METRICS, Row
from tests.model.derived import WEIGHTS
from tests.support.ceems_schema import create_schema
from tests.support.databases import insert_rows

CLUSTERS = {"slurm-0": "slurm", "slurm-1": "slurm", "k8s-0": "k8s"}
PROJECTS = ("alpha", "beta", "Ünï 'q\"")
USERS = ("ann", "bob", "çem", "alpha:svc", "beta:svc", "name")
ADMINS = ("root", "ann")
LOGINS = (*USERS, *ADMINS, "nobody-knows")
UUIDS = ("1", "10", "2", "a-b", "ß", "1'")
STATES = ("COMPLETED", "RUNNING", "")
KEYS = ("global", "total", "rte_total", "a.b", 'q"q', "s p", "é", "b\\s", "<&>", "it's", "", "#", "a#weighted", "$[0]")
TIME_KEYS = ("walltime", "alloc_cputime", "alloc_cpumemtime", "alloc_gputime", "alloc_gpumemtime")

# Zones, and the moments (UTC) at which their clocks go back. Lord Howe's go back by half an hour.
ZONES = {
    "Europe/Paris": 1_761_440_400,
    "America/New_York": 1_762_063_200,
    "Australia/Lord_Howe": 1_743_865_200,
    "Asia/Kolkata": 1_761_440_400,
    "UTC": 1_761_440_400,
}
SPAN = 3 * 86_400


@dataclass
class Contents:
    """The contents of a database: rows by table, and the zone of its local times."""

    zone: ZoneInfo
    turn: int  # the moment around which everything happens
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Write the database."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            create_schema(connection)
            for table, rows in self.tables.items():
                insert_rows(connection, table, rows)
            connection.execute("COMMIT")
        return path


def moments(turn: int) -> st.SearchStrategy[int]:
    """Return moments in the days around a change of the clocks, often in the hours next to it."""
    return st.one_of(
        st.integers(turn - 7_200, turn + 7_200),
        st.integers(-12, 12).map(lambda step: turn + 900 * step),
        st.integers(turn - SPAN, turn + SPAN),
        st.integers(-2, 2).map(lambda step: (turn // 86_400 + step) * 86_400),
    )


_NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([0, 1, 2.5, 100, 1e100, 12345678901234567890, 0.00000001]),
    st.integers(0, 1_000_000),
    st.floats(0, 1e6, allow_subnormal=False),
)
_ODD_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["NaN", "+Inf", "-Inf", "Inf", "Infinity", "", None, {"b": 1}, [2]]
)
_NO_OBJECTS = st.sampled_from(["{}", "null", "", None, "{", '{"total":1', "[1,2]", '"total"', "5", "nonsense"])


def objects(keys: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[str | None]:
    """Return texts of JSON columns: mostly objects, written with or without escapes, sometimes something else."""

    def text(pair: tuple[dict[str, Any], int]) -> str:
        found, style = pair
        if style == 0:
            return json.dumps(found)
        compact = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        if style == 1:
            return compact
        return compact.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")  # as Go writes JSON

    some = st.tuples(st.dictionaries(st.sampled_from(keys), values, max_size=3), st.integers(0, 2)).map(text)
    return st.one_of(some, some, some, _NO_OBJECTS)


_METRIC = objects(KEYS, st.one_of(_NUMBERS, _NUMBERS, _NUMBERS, _ODD_VALUES))
_TIMES = objects(TIME_KEYS, st.one_of(st.integers(0, 100_000), st.sampled_from([0, 0, 1_000_000_000, "NaN", None])))
_FACTS = objects(
    KEYS, st.one_of(st.integers(-5, 5), st.sampled_from(["x", "é", "5", 1.5, None, 2**53 + 1, {"n": [1]}]))
)
_TEXT = st.sampled_from(["one", "zwei 'n\"", "été", "", None])
_PEOPLE = st.lists(st.sampled_from(USERS), unique=True)


def _local(moment: int, zone: ZoneInfo, *, offset: bool) -> str:
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%dT%H:%M:%S" + ("%z" if offset else ""))


@st.composite
def metrics(draw: st.DrawFn) -> Row:
    """Return a few metric columns; the others keep the schema's '{}'."""
    names = draw(st.lists(st.sampled_from(METRICS[1:]), max_size=3, unique=True))
    if draw(st.booleans()):
        names.append(draw(st.sampled_from(sorted(WEIGHTS))))
    return {"total_time_seconds": draw(_TIMES), **{name: draw(_METRIC) for name in names}}


@st.composite
def units(draw: st.DrawFn, zone: ZoneInfo, turn: int) -> Row:
    """Return one unit; one in five still runs, and one in ten waits for its start."""
    cluster = draw(st.sampled_from(sorted(CLUSTERS)))
    ended = draw(moments(turn))
    length = draw(st.integers(0, 100_000))
    millisecond = draw(st.sampled_from([0, 1, 999]))
    started, created = ended - length, ended - length - draw(st.integers(0, 500))
    state = draw(st.integers(0, 9))
    waiting, running = state == 9, state in {0, 1, 9}
    if waiting:
        started = 0
    elif draw(st.integers(0, 5)) == 0:  # an impossible start, or none
        started = draw(moments(turn)) if draw(st.booleans()) else 0
    updated = draw(moments(turn)) if running else ended + draw(st.sampled_from([0, 0, 1, 900, 3_600, 86_400]))
    return {
        "cluster_id": cluster,
        "resource_manager": CLUSTERS[cluster],
        "uuid": draw(st.sampled_from(UUIDS)),
        "name": draw(_TEXT),
        "project": draw(st.sampled_from((*PROJECTS, *PROJECTS, None))),
        "groupname": draw(_TEXT),
        "username": draw(st.sampled_from((*USERS, *USERS, None))),
        "created_at": _local(created, zone, offset=True),
        "started_at": "N/A" if waiting else _local(started, zone, offset=True),
        "ended_at": draw(st.sampled_from(["Unknown", "N/A"])) if running else _local(ended, zone, offset=True),
        "created_at_ts": created * 1000 + millisecond,
        "started_at_ts": started * 1000 + millisecond if started else 0,
        "ended_at_ts": 0 if running else ended * 1000 + millisecond,
        "elapsed": draw(_TEXT),
        "state": draw(st.sampled_from((*STATES, None))),
        "allocation": draw(_FACTS),
        "tags": draw(_FACTS),
        **({} if running and not started else draw(metrics())),
        "ignore": draw(st.sampled_from([0, 0, 0, 0, 1])),
        "num_updates": 1,
        "last_updated_at": _local(updated, zone, offset=False),
    }


@st.composite
def totals(draw: st.DrawFn) -> Row:
    """Return one row of usage, without its time."""
    cluster = draw(st.sampled_from(sorted(CLUSTERS)))
    return {
        "cluster_id": cluster,
        "resource_manager": CLUSTERS[cluster],
        "num_units": draw(st.integers(0, 9)),
        "project": draw(st.sampled_from(PROJECTS)),
        "groupname": draw(_TEXT),
        "username": draw(st.sampled_from(USERS)),
        **draw(metrics()),
        "num_updates": 1,
    }


@st.composite
def databases(draw: st.DrawFn, most_units: int = 8) -> Contents:
    """Return a small database."""
    name = draw(st.sampled_from(sorted(ZONES)))
    zone, turn = ZoneInfo(name), ZONES[name]
    day = st.integers(-4, 4).map(lambda step: (turn // 86_400 + step) * 86_400)
    daily = [
        {**row, "last_updated_at": _local(draw(day), zone, offset=False)}
        for row in draw(st.lists(totals(), max_size=most_units))
    ]
    usage = [
        {**row, "last_updated_at": _local(turn, zone, offset=False)} for row in draw(st.lists(totals(), max_size=5))
    ]
    places = [(cluster, project) for cluster in sorted(CLUSTERS) for project in PROJECTS]
    projects = [_place(cluster, project, "users", draw(_PEOPLE)) for cluster, project in places if draw(st.booleans())]
    users = [
        _place(cluster, user, "projects", sorted(p["name"] for p in projects if user in json.loads(p["users"])))
        for cluster in sorted(CLUSTERS)
        for user in draw(_PEOPLE)
    ]
    admins = draw(st.lists(st.sampled_from(ADMINS), unique=True))
    tables = {
        "units": _different(draw(st.lists(units(zone, turn), max_size=most_units)), "cluster_id", "uuid", "started_at"),
        "usage": _different(usage, "cluster_id", "username", "project"),
        "daily_usage": _different(daily, "cluster_id", "username", "project", "last_updated_at"),
        "users": users,
        "projects": projects,
        "admin_users": [{"name": login, "tags": '["grafana"]'} for login in admins],
    }
    return Contents(zone, turn, tables)


def _place(cluster: str, name: str, column: str, values: list[str]) -> Row:
    return {
        "uid": "1",
        "cluster_id": cluster,
        "resource_manager": CLUSTERS[cluster],
        "name": name,
        column: json.dumps(values, ensure_ascii=len(values) % 2 == 0),
        "tags": "[]",
    }


def _different(rows: list[Row], *names: str) -> list[Row]:
    key: Callable[[Row], tuple[Any, ...]] = lambda row: tuple(row[name] for name in names)  # noqa: E731
    return list({key(row): row for row in rows}.values())
