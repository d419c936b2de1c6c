"""The schema equals what ceems_api_server creates, for the recorded version 9 and for earlier versions."""

import sqlite3
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest

from ceems_grpc.demo.schema import LATEST_VERSION, METRIC_COLUMNS, index_statements, table_statements
from tests.support.ceems_schema import create_schema
from tests.support.places import SYNTHETIC


def test_tables_and_indexes_equal_the_recorded_ones() -> None:
    with closing(sqlite3.connect(f"file:{SYNTHETIC}?immutable=1", uri=True)) as recorded, closing(new(9)) as ours:
        names = tables(recorded)
        assert len(names) == 7
        assert tables(ours) == names
        for name in names:
            assert columns(ours, name) == columns(recorded, name), name
            assert indexes(ours, name) == indexes(recorded, name), name


def test_schema_runs_on_an_empty_database() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, closing(new(LATEST_VERSION)) as created:
        for statement in (*table_statements(), *index_statements()):
            connection.execute(statement)
        assert layout(connection) == layout(created)


@pytest.mark.parametrize("version", range(1, LATEST_VERSION + 1))
def test_each_version_has_what_its_migrations_made(version: int) -> None:
    since = {"units": 1, "usage": 2, "users": 3, "projects": 4, "admin_users": 5, "daily_usage": 7}
    with closing(new(version)) as connection:
        expected = {name for name, first in since.items() if first <= version}
        assert tables(connection) == expected | {"schema_migrations"}
        assert connection.execute("SELECT version, dirty FROM schema_migrations").fetchall() == [(version, 0)]
        for name in expected & {"units", "usage", "daily_usage"}:
            held = {column for column, *_ in columns(connection, name)}
            assert set(METRIC_COLUMNS[:-1]) <= held
            assert ("total_egress_stats" in held) == (version >= 9)
            assert ("total_outgress_stats" in held) == (version < 9)
        assert ("idx_cluster_id_project_user_ended" in indexes(connection, "units")) == (version >= 6)
        assert len(indexes(connection, "units")) == (3 if version >= 6 else 2)


@pytest.mark.parametrize(("version", "key"), [(5, "source"), (7, "source"), (8, "name"), (9, "name")])
def test_admin_users_changed_its_shape_in_version_8(version: int, key: str) -> None:
    with closing(new(version)) as connection:
        held = [column for column, *_ in columns(connection, "admin_users")]
        assert key in held
        assert ("users" in held) == (version < 8)
        assert len(indexes(connection, "admin_users")) == 1


def test_versions_differ_only_in_their_own_migration() -> None:
    layouts = []
    for version in range(1, LATEST_VERSION + 1):
        with closing(new(version)) as connection:
            layouts.append(layout(connection))
    changed = [
        {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        for before, after in pairwise(layouts)
    ]
    assert changed == [
        *({"usage"}, {"users"}, {"projects"}, {"admin_users"}, {"units"}, {"daily_usage"}, {"admin_users"}),
        {"units", "usage", "daily_usage"},
    ]


def test_defaults_of_the_columns_work() -> None:
    with closing(new(9)) as connection:
        connection.execute("INSERT INTO admin_users (name) VALUES ('admin')")
        connection.execute("INSERT INTO units (uuid) VALUES ('1')")
        row = connection.execute("SELECT uid, cluster_id, resource_manager, projects, tags FROM admin_users").fetchone()
        assert row == ("", "all", "", "[]", "[]")
        row = connection.execute("SELECT resource_manager, tags, avg_gpu_usage, num_updates FROM units").fetchone()
        assert row == ("", "{}", "{}", 0)


@pytest.mark.parametrize("version", [0, 10, -1])
def test_unknown_versions_are_refused(version: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        with pytest.raises(ValueError, match=f"no schema version {version}"):
            create_schema(connection, version)
        assert tables(connection) == set()


def new(version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    create_schema(connection, version)
    return connection


def tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {name for (name,) in rows}


def columns(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    rows = connection.execute(f"PRAGMA table_info({table})").fetchall()
    # The reference writes an empty default text with double quotes, which newer SQLite builds refuse.
    return [
        (name, kind.lower(), notnull, "''" if default == '""' else default, key)
        for _, name, kind, notnull, default, key in rows
    ]


def indexes(connection: sqlite3.Connection, table: str) -> dict[str, tuple[int, list[str]]]:
    found = {}
    for _, name, unique, _origin, _partial in connection.execute(f"PRAGMA index_list({table})").fetchall():
        parts = connection.execute(f"PRAGMA index_info({name})").fetchall()
        found[name] = (unique, [column for _, _, column in parts])
    return found


def layout(connection: sqlite3.Connection) -> dict[str, Any]:
    return {name: (columns(connection, name), indexes(connection, name)) for name in tables(connection)}
