"""SQLite files of other programs, and malicious ones: no other file is touched, and nothing in them is revealed."""

import asyncio
import json
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.hostile.wellness import MEBIBYTE, MILLISECONDS, WINDOW, check_words, names_in, peak_memory
from tests.support.ceems_schema import create_schema
from tests.support.databases import NOON, SiteDatabase
from tests.support.people import write_people_site
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SECRETS = ("hunter2", "TOP-SECRET", "api_key", "dashboard_acl", "s3cret_table")
_PATHS = (
    "units",
    "units/admin",
    "usage/current",
    "usage/global",
    "projects",
    "users",
    "clusters",
    "stats/global/admin",
    "suggest/uuids",
    "suggest/tag-keys",
    "suggest/metric-keys",
)
_KINDS = ("units", "usage", "stats", "users", "projects", "clusters", "usage-over-time")


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def ask_everything(ceems: Source) -> list[str]:
    """Ask in many ways, as an ordinary user and as an administrator; check and return all error messages."""
    errors: list[str] = []
    for login, role in (("ann", "Viewer"), ("root", "Viewer"), ("ann", "Admin")):
        health = await ceems.health(login, role)
        said = [health.message, health.jsonDetails.decode()]
        for path in _PATHS:
            answer = await ceems.get(login, path, *WINDOW, ("column", "tags"), role=role)
            assert answer.status in {200, 400, 401, 403, 500}, (path, answer.body[:300])
            if answer.status != 200:
                said.append(answer.json["error"])
                check_words(answer.json["error"])
            assert b"unexpectedly" not in answer.body, path
        models = {kind: {"queryType": kind, "admin": "auto"} for kind in _KINDS}
        for kind, response in (await ceems.query(login, models, MILLISECONDS, role=role)).items():
            if response.error:
                said.append(response.error)
                assert "unexpectedly" not in response.error, kind
                if role != "Admin":
                    check_words(response.error)
        if role != "Admin":
            assert str(ceems.json_data["path"]) not in health.message
        errors += said
    assert "unexpectedly" not in "".join(errors)
    return errors


async def check_tells_nothing(ceems: Source) -> str:
    errors = await ask_everything(ceems)
    assert (await ceems.health()).status == pb.CheckHealthResponse.ERROR
    joined = "\n".join(errors)
    assert not [secret for secret in _SECRETS if secret in joined], joined
    return joined


def grafana(connection: sqlite3.Connection) -> None:
    connection.executescript("""
        CREATE TABLE user (id INTEGER PRIMARY KEY, login TEXT, password TEXT, salt TEXT);
        INSERT INTO user VALUES (1, 'admin', 'hunter2', 'TOP-SECRET');
        CREATE TABLE api_key (id INTEGER PRIMARY KEY, key TEXT); INSERT INTO api_key VALUES (1, 'hunter2');
        CREATE TABLE dashboard_acl (id INTEGER PRIMARY KEY);
        CREATE TABLE migration_log (id INTEGER PRIMARY KEY, migration_id TEXT, sql TEXT);
    """)


def views(connection: sqlite3.Connection) -> None:
    grafana(connection)
    for table in ("units", "usage", "daily_usage", "users", "projects", "admin_users"):
        connection.execute(
            f"CREATE VIEW {table} AS SELECT id, login AS uuid, password AS name, 'x' AS project FROM user"
        )


def full_text(connection: sqlite3.Connection) -> None:
    for table in ("units", "usage", "users", "projects"):
        connection.execute(f"CREATE VIRTUAL TABLE {table} USING fts5(uuid, name)")
        connection.execute(f"INSERT INTO {table} VALUES ('hunter2', 'TOP-SECRET')")


def other_migrations(connection: sqlite3.Connection) -> None:
    connection.executescript("""
        CREATE TABLE schema_migrations (version TEXT);
        INSERT INTO schema_migrations VALUES ('hunter2 TOP-SECRET');
        CREATE TABLE s3cret_table (x);
    """)


def migrations_of_bytes(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE schema_migrations (version BLOB)")
    connection.execute("INSERT INTO schema_migrations VALUES (?)", [b"hunter2\xff"])


def other_columns(connection: sqlite3.Connection) -> None:
    for table in ("units", "usage", "users", "projects", "schema_migrations"):
        connection.execute(f"CREATE TABLE {table} (hunter2 TEXT, api_key TEXT)")


def broken_schema(connection: sqlite3.Connection) -> None:
    grafana(connection)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE user (hunter2' WHERE name = 'user'")


def schema_in_circles(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE a (x)")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET name = 'units', tbl_name = 'units', rootpage = 1")


FOREIGN: tuple[Callable[[sqlite3.Connection], None], ...] = (
    grafana,
    views,
    full_text,
    other_migrations,
    migrations_of_bytes,
    other_columns,
    broken_schema,
    schema_in_circles,
)


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
async def test_databases_of_somebody_else_tell_nothing(
    plugin: Plugin, ceems: Source, tmp_path: Path, make: Callable[[sqlite3.Connection], None]
) -> None:
    del ceems
    path = tmp_path / "theirs.db"
    with writing(path) as connection:
        make(connection)
    before = path.read_bytes()
    await check_tells_nothing(source(plugin, path))
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["theirs.db"]


def version_of_text(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE IF EXISTS schema_migrations")
    connection.execute("CREATE TABLE schema_migrations (version TEXT, dirty)")
    connection.execute("INSERT INTO schema_migrations VALUES ('hunter2 TOP-SECRET', 0)")


def huge_version(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE schema_migrations SET version = 9e99")


def evil_columns(connection: sqlite3.Connection) -> None:
    for number, expression in enumerate(
        (
            "load_extension('/tmp/x')",
            "readfile('/etc/passwd')",
            "printf('%999999999s', 'x')",
            "zeroblob(999999999)",
            "randomblob(99999999)",
            "hex(zeroblob(400000000))",
        )
    ):
        try:
            connection.execute(
                f"ALTER TABLE units ADD COLUMN evil{number} TEXT GENERATED ALWAYS AS ({expression}) VIRTUAL"
            )
        except sqlite3.OperationalError:
            continue  # SQLite itself knows no such function here


def triggers(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TRIGGER t AFTER INSERT ON units BEGIN DELETE FROM users; END")
    connection.execute("CREATE VIEW v AS SELECT * FROM units JOIN users JOIN units AS u2 JOIN units AS u3")


def odd_types(connection: sqlite3.Connection) -> None:
    columns = [row[1] for row in connection.execute("PRAGMA table_info(units)") if row[1] != "id"]
    for number, value in enumerate(
        (b"\xff\x00\xfe", -(2**63), 2**63 - 1, 9e999, -9e999, "\ud7ff\uffff", "x\0y", "", None, 1.5)
    ):
        for column in columns:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            try:
                connection.execute(
                    f"INSERT INTO units (uuid, cluster_id, username, project, {column})"
                    " VALUES (?, 'slurm-0', 'ann', 'alpha', ?)"
                    if column not in {"uuid", "cluster_id", "username", "project"}
                    else f"INSERT INTO units (num_updates, {column}) VALUES (?, ?)",
                    [
                        f"odd-{number}-{column}" if column not in {"uuid", "cluster_id", "username", "project"} else 1,
                        value,
                    ],
                )
            except sqlite3.IntegrityError:
                continue


def deep_json(connection: sqlite3.Connection) -> None:
    for text in (
        "[" * 900 + "]" * 900,
        '{"a":' * 900 + "1" + "}" * 900,
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"a":' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"a":' + "9" * 5_000 + "}",
        '{"a":1e99999}',
        '{"' + "k" * 100_000 + '":1}',
        "{" + ",".join(f'"k{n}":{n}' for n in range(1_000)) + "}",
    ):
        for column in ("tags", "allocation", "total_cpu_energy_usage_kwh", "total_time_seconds"):
            connection.execute(f"UPDATE units SET {column} = ? WHERE uuid = 'unit-ann'", [text])
            connection.execute("UPDATE users SET projects = ?, tags = ? WHERE name = 'bob'", [text, text])
            connection.execute("UPDATE projects SET users = ?, tags = ? WHERE name = 'beta'", [text, text])
            connection.execute(
                "INSERT INTO units (uuid, cluster_id, resource_manager, username, project, started_at_ts, ended_at_ts,"
                f" last_updated_at, {column})"
                " VALUES (?, 'slurm-0', 'slurm', 'ann', 'alpha', ?, ?, '2025-06-15T17:00:00', ?)",
                [f"deep-{hash((text, column))}", NOON * 1000 - 1, NOON * 1000, text],
            )


HOSTILE = (version_of_text, huge_version, evil_columns, triggers, odd_types, deep_json)


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
async def test_a_database_that_was_made_to_hurt(
    plugin: Plugin, ceems: Source, tmp_path: Path, spoil: Callable[[sqlite3.Connection], None]
) -> None:
    del ceems
    path = tmp_path / "ceems.db"
    write_people_site(path)
    with writing(path) as connection:
        spoil(connection)
        before = "\n".join(connection.iterdump()) if spoil is not evil_columns else ""
    hurt = source(plugin, path)
    async with asyncio.timeout(30):
        said = "\n".join(await ask_everything(hurt))
    assert not [secret for secret in _SECRETS if secret in said], said
    answer = await hurt.get("ann", "units", *WINDOW, ("field", "uuid"))
    assert answer.status == 200, answer.body
    assert "unit-ann" in [row["uuid"] for row in answer.json["data"]]
    if before:
        with writing(path) as connection:
            assert "\n".join(connection.iterdump()) == before


async def test_a_value_without_measure_takes_little_memory(plugin: Plugin, ceems: Source, tmp_path: Path) -> None:
    del ceems
    path = tmp_path / "ceems.db"
    write_people_site(path)
    with writing(path) as connection:
        connection.execute("UPDATE units SET tags = hex(zeroblob(60000000)) WHERE uuid = 'unit-bob'")
    before = peak_memory(plugin.process.pid)
    hurt = source(plugin, path)
    answer = await hurt.get("root", "units/admin", *WINDOW)
    assert (answer.status, answer.json["error"]) == (500, "The database could not answer.")
    assert peak_memory(plugin.process.pid) - before < 200 * MEBIBYTE
    assert [row["uuid"] for row in await hurt.rows("ann", "units", *WINDOW)] == ["unit-ann"]


async def test_many_large_values_take_little_memory(plugin: Plugin, ceems: Source, tmp_path: Path) -> None:
    del ceems
    path = tmp_path / "ceems.db"
    write_people_site(path)
    with writing(path) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(units)") if row[1] not in {"id", "uuid"}]
        names = ", ".join(f'"{name}"' for name in columns)
        values = ", ".join("hex(zeroblob(2000000))" if name == "name" else f'"{name}"' for name in columns)
        connection.execute(
            f"INSERT INTO units (uuid, {names}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            f" WHERE i < 60) SELECT 'large-' || i, {values} FROM units, n WHERE uuid = 'unit-bob'"
        )
    before = peak_memory(plugin.process.pid)
    hurt = source(plugin, path, mirror={"mode": "off"})
    response = await hurt.query("root", {"A": {"queryType": "units", "admin": True}}, MILLISECONDS)
    assert "take too much memory" in response["A"].error
    assert peak_memory(plugin.process.pid) - before < 450 * MEBIBYTE
    assert [row["uuid"] for row in await hurt.rows("ann", "units", *WINDOW)] == ["unit-ann"]


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
async def test_another_encoding_is_no_matter(plugin: Plugin, ceems: Source, tmp_path: Path, encoding: str) -> None:
    with writing(tmp_path / "ceems.db") as connection, SiteDatabase(tmp_path / "plain.db") as site:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        create_schema(connection)
        site.unit("unit-ä😀", "ann", "alpha", NOON)
        rows = site.connection.execute("SELECT * FROM units").fetchall()
        connection.executemany(f"INSERT INTO units VALUES ({', '.join('?' * len(rows[0]))})", rows)
    for name in ("ceems.db", "plain.db"):
        other = source(plugin, tmp_path / name)
        assert [row["uuid"] for row in await other.rows("ann", "units", *WINDOW)] == ["unit-ä😀"]
    assert ceems


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "ceems.db"
    write_people_site(path)
    with writing(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
    return path.read_bytes()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
async def test_damaged_files(
    plugin: Plugin, ceems: Source, whole: bytes, tmp_path_factory: pytest.TempPathFactory, chance: random.Random
) -> None:
    del ceems
    data = bytearray(whole)
    for _ in range(chance.choice((1, 10, 200))):
        # The first pages hold the schema; every page begins with the positions of its rows.
        place = chance.choice(
            (
                chance.randrange(100),
                chance.randrange(4096 * 4),
                chance.randrange(len(data)),
                chance.randrange(len(data)) // 4096 * 4096 + chance.randrange(12),
            )
        )
        data[place] = chance.randrange(256)
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    path = tmp_path_factory.mktemp("damaged") / "ceems.db"
    path.write_bytes(data)
    damaged = source(plugin, path)
    async with asyncio.timeout(30):
        health = await damaged.health("ann", "Viewer")
        assert "unexpectedly" not in health.message
        answer = await damaged.get("root", "units/admin", *WINDOW)
        assert b"unexpectedly" not in answer.body
        if answer.status != 200:
            check_words(json.loads(answer.body)["error"])
        for response in (
            await damaged.query("root", {kind: {"queryType": kind, "admin": True} for kind in _KINDS}, MILLISECONDS)
        ).values():
            assert "unexpectedly" not in response.error
            if response.error:
                check_words(response.error)
    os.truncate(path, 0)
