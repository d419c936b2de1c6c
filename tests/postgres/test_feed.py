"""The feeder writes the contents of the file, follows it, and recovers from whatever ends it."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from adbc_driver_postgresql import dbapi

from ceems_grpc.feed.feeder import FedTwiceError, Feeder, FeedError, FeedSettings, SiteConflictError
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.follow.keeper import Step
from ceems_grpc.store.postgres.connection import Address
from ceems_grpc.store.sqlite.source_rows import PythonRows
from tests.mirror.test_following import FILE_CHANGES
from tests.postgres.fed_rows import check_fed, check_rollups, rows_of_postgres
from tests.support.mirrors import ZONE
from tests.support.ports import free_port
from tests.support.postgres.feeding import feed_once
from tests.support.postgres.servers import PASSWORD, Server


def settings(path: Path, server: Server, database: str, **more: Any) -> FeedSettings:
    return FeedSettings(path, Address(server.url(database), PASSWORD), **{"site": "a", "zone": ZONE, **more})


@contextmanager
def feeding(path: Path, server: Server, database: str, **more: Any) -> Iterator[Feeder]:
    with closing(Feeder(settings(path, server, database, **more), open_rows=PythonRows)) as feeder:
        feeder.open()
        yield feeder


def once(path: Path, server: Server, database: str, **more: Any) -> Step:
    with feeding(path, server, database, **more) as feeder:
        return feeder.step()


def command(path: Path, server: Server, database: str, *options: str, user: str = "postgres") -> list[str]:
    secret = path.parent / "password"
    if not secret.exists():
        secret.touch(0o600)
        secret.write_text(PASSWORD + "\n")
    where = ["--database", str(path), "--to", server.url(database, user), "--site", "a", "--timezone", ZONE.key]
    return [sys.executable, "-m", "ceems_grpc", "feed", *where, "--password-file", str(secret), *options]


def run(path: Path, server: Server, database: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(path, server, database, *options), capture_output=True, text=True, check=False)


def counted(server: Server, database: str, table: str, where: str = "TRUE") -> int:
    return int(str(server.rows(f"SELECT count(*) FROM ceems.{table} WHERE {where}", database)[0][0]))


def commits(server: Server, database: str) -> int:
    """Return how often the feeder has committed; 0 if it has not begun."""
    try:
        return int(str(server.rows("SELECT coalesce(max(commits), 0) FROM ceems.sites", database)[0][0]))
    except dbapi.Error:
        return 0


def test_writes_what_the_file_holds(site: Path, server: Server, empty_database: str) -> None:
    assert once(site, server, empty_database) is Step.FILLED
    check_fed(site, server, empty_database)
    ((units, newest, complete, rollups, zone, version),) = server.rows(
        "SELECT units, newest, complete, rollups, zone, schema_version FROM ceems.sites WHERE site = 'a'",
        empty_database,
    )
    assert units == counted(server, empty_database, "units")
    assert [(newest,)] == server.rows('SELECT max("#moment") FROM ceems.units', empty_database)
    assert (complete, rollups, zone, version) == (True, True, ZONE.key, 9)
    assert once(site, server, empty_database) is Step.NOTHING


def test_follows_every_kind_of_change(
    site: Path, writer: sqlite3.Connection, server: Server, empty_database: str
) -> None:
    with feeding(site, server, empty_database) as feeder:
        assert feeder.step() is Step.FILLED
        for name, statement in FILE_CHANGES.items():
            writer.execute(statement)
            assert feeder.step() in {Step.CAUGHT_UP, Step.NOTHING}, name
            check_fed(site, server, empty_database)


def test_writes_only_rows_that_differ(
    site: Path, writer: sqlite3.Connection, server: Server, empty_database: str
) -> None:
    assert once(site, server, empty_database) is Step.FILLED
    writer.execute("UPDATE units SET num_updates = num_updates + 1 WHERE id IN (5, 700)")
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    writer.execute("UPDATE units SET num_updates = num_updates + 1 WHERE id = 6")
    with feeding(site, server, empty_database) as feeder:
        assert feeder.step() is Step.FILLED, "the log does not show what changed"
        assert feeder.target.written == 3
    check_fed(site, server, empty_database)


def test_a_part_of_a_fill_is_not_written_again(
    site: Path, server: Server, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("write", "batches"):
        monkeypatch.setattr(f"ceems_grpc.store.postgres.feed.{module}.ROWS_AT_ONCE", 400)
    seen: list[int] = []

    def stop(rows: int) -> None:
        seen.append(rows)
        if rows > 900:
            raise KeyboardInterrupt

    feeder = Feeder(settings(site, server, empty_database), progress=stop)
    feeder.open()
    with pytest.raises(KeyboardInterrupt):
        feeder.step()
    there = counted(server, empty_database, "units")
    assert 0 < there < 1_500
    assert server.rows("SELECT complete, rollups FROM ceems.sites", empty_database) == [(False, False)]
    with feeding(site, server, empty_database) as again:
        assert again.step() is Step.FILLED
        total = sum(counted(server, empty_database, name) for name in ("units", "usage", "daily_usage", "users"))
        total += sum(counted(server, empty_database, name) for name in ("projects", "admin_users"))
        assert again.target.written == total - there
    check_fed(site, server, empty_database)


def test_is_killed_at_any_moment(site: Path, writer: sqlite3.Connection, server: Server, empty_database: str) -> None:
    """Kills a feeder repeatedly, while it fills the tables and while it follows a writer."""
    chance = random.Random(7)
    before = 0
    for number in range(5):
        running = subprocess.Popen(command(site, server, empty_database, "--interval", "0.01"), stderr=subprocess.PIPE)
        with running:
            killed_at = float("inf")
            while time.monotonic() < killed_at:
                assert running.poll() is None
                if killed_at == float("inf") and commits(server, empty_database) > before:  # it works
                    killed_at = time.monotonic() + chance.random() * 0.4
                low = chance.randrange(1_400)
                writer.execute(
                    "UPDATE units SET num_updates = num_updates + 1, last_updated_at = ? WHERE id BETWEEN ? AND ?",
                    (f"2026-03-0{1 + number}T10:{chance.randrange(60):02}:00", low, low + 40),
                )
                writer.execute("DELETE FROM units WHERE id = ?", (low + 100,))
                writer.execute(
                    "INSERT INTO units (cluster_id, uuid, started_at, username, total_time_seconds)"
                    " VALUES ('slurm-cpu', ?, 'x', 'u', '{\"walltime\":3}')",
                    (f"new-{chance.random()}",),
                )
                time.sleep(0.03)
            running.send_signal(signal.SIGKILL)
            assert running.stderr is not None
            running.stderr.read()
        assert running.returncode == -signal.SIGKILL
        before = commits(server, empty_database)
    last = run(site, server, empty_database, "--once")
    assert last.returncode == 0, last.stderr
    check_fed(site, server, empty_database)


def test_several_sites_feed_one_database(site: Path, server: Server, empty_database: str) -> None:
    other = site.with_name("other.db")
    shutil.copy(site, other)
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        for table in ("units", "usage", "daily_usage", "users", "projects"):
            connection.execute(f"UPDATE {table} SET cluster_id = 'b-' || cluster_id")
        connection.execute("UPDATE units SET total_cpu_emissions_gms = '{\"bee_total\":4.5}' WHERE id % 3 = 0")
        connection.execute("UPDATE units SET tags = '' WHERE id % 3 = 0")
    assert once(site, server, empty_database) is Step.FILLED
    assert once(other, server, empty_database, site="b") is Step.FILLED
    check_fed(site, server, empty_database, "a")
    check_fed(other, server, empty_database, "b")
    administered = server.rows("SELECT DISTINCT site, clusters FROM ceems.admin_users ORDER BY 1", empty_database)
    assert [site for site, _ in administered] == ["a", "b"]
    assert "b-" not in str(administered[0][1])
    assert all(name.startswith("b-") for name in str(administered[1][1]).strip("[]").replace('"', "").split(", "))


def test_refuses_a_cluster_of_another_site(site: Path, server: Server, empty_database: str) -> None:
    once(site, server, empty_database)
    with pytest.raises(SiteConflictError, match=r"has cluster '.+', which site 'a' feeds already\. Cluster ids must"):
        once(site, server, empty_database, site="b")
    for table in ("units", "usage", "users"):
        assert counted(server, empty_database, table, "site = 'b'") == 0
    check_fed(site, server, empty_database, "a")


def test_a_second_feeder_says_so(site: Path, server: Server, empty_database: str) -> None:
    with feeding(site, server, empty_database) as first:
        first.step()
        with pytest.raises(FedTwiceError, match="Another feeder is feeding site 'a' into this database"):
            once(site, server, empty_database)
        refused = run(site, server, empty_database, "--once")
        assert refused.returncode == 1
        assert "Another feeder is feeding site 'a'" in refused.stderr
        waiting = subprocess.Popen(
            command(site, server, empty_database, "--once", "--wait", "--interval", "0.1"), stderr=subprocess.PIPE
        )
        assert waiting.stderr is not None
        assert b"will be retried" in waiting.stderr.readline()
    with waiting:
        waiting.stderr.read()
    assert waiting.returncode == 0


@pytest.mark.parametrize("what", ["delete old", "delete all", "refill"])
def test_keeps_history(what: str, site: Path, writer: sqlite3.Connection, server: Server, empty_database: str) -> None:
    backup = site.with_name("backup.db")
    writer.execute("VACUUM INTO ?", (str(backup),))
    with feeding(site, server, empty_database, keep_history=True) as feeder:
        feeder.step()
        units = counted(server, empty_database, "units")
        if what == "refill":
            writer.execute("DELETE FROM units WHERE id % 2 = 1")
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            writer.execute("DELETE FROM units WHERE id < 50")
        else:
            writer.execute(FILE_CHANGES[what])
        feeder.step()
        assert counted(server, empty_database, "units") == units
        assert counted(server, empty_database, "units", '"#row" < 0') > 0
        check_fed(site, server, empty_database)
        assert server.rows("SELECT units FROM ceems.sites", empty_database) == [(units,)]
    once(backup, server, empty_database, keep_history=True)  # the rows are back in the file
    assert counted(server, empty_database, "units") == units
    assert counted(server, empty_database, "units", '"#row" < 0') == 0
    check_fed(backup, server, empty_database)


def test_keeps_history_when_ids_begin_anew(
    site: Path, writer: sqlite3.Connection, server: Server, empty_database: str
) -> None:
    once(site, server, empty_database, keep_history=True)
    units = counted(server, empty_database, "units")
    writer.execute("DELETE FROM units WHERE id > 10")
    writer.execute("UPDATE units SET uuid = 'another-' || uuid")
    once(site, server, empty_database, keep_history=True)
    assert counted(server, empty_database, "units") == units + 10
    check_fed(site, server, empty_database)
    check_rollups(server, empty_database)


def test_follows_deletes_without_keeping(
    site: Path, writer: sqlite3.Connection, server: Server, empty_database: str
) -> None:
    once(site, server, empty_database)
    writer.execute("DELETE FROM units WHERE id < 700")
    once(site, server, empty_database)
    assert counted(server, empty_database, "units") == counted(server, empty_database, "units", '"#row" >= 700')
    check_fed(site, server, empty_database)


ODD = {
    "nul": ("name = 'a' || char(0) || 'b'", "name", "ab"),
    "tiny": ("total_time_seconds = '{\"walltime\":1e-200}'", "total_time_seconds.walltime", 0.0),
    "huge": ("total_time_seconds = '{\"walltime\":-1e300}'", "total_time_seconds.walltime", -1e150),
    "no number": ('total_time_seconds = \'{"walltime":"NaN"}\'', "total_time_seconds.walltime", "nan"),
    "null": ("total_time_seconds = '{\"walltime\":null}'", "total_time_seconds.walltime", "inf"),
    "quotes": ("name = 'it''s \"x\" \\ ;'", "name", 'it\'s "x" \\ ;'),
    "new column": ("num_updates = 3", "num_updates", 3),
}


def test_values_that_postgresql_cannot_hold(
    site: Path, writer: sqlite3.Connection, server: Server, empty_database: str
) -> None:
    for number, (change, _, _) in enumerate(ODD.values(), 10):
        writer.execute(f"UPDATE units SET {change} WHERE id = {number}")
    for number, tags in enumerate(('{"a":"\\u0000"}', '{"a":"\\ud800"}', "{1}", "[1]", '{"a":1e999999}'), 30):
        writer.execute("UPDATE units SET tags = ? WHERE id = ?", (tags, number))
    writer.execute('UPDATE units SET tags = \'{"a":"\\u00e9\\ud83d\\ude00"}\' WHERE id = 40')
    once(site, server, empty_database)
    found = rows_of_postgres(server, empty_database, "units", "a")
    for number, (name, (_, column, value)) in enumerate(ODD.items(), 10):
        shown = found[number][column]
        assert str(shown) == value if isinstance(value, str) and value in {"nan", "inf"} else shown == value, name
    odd = server.rows('SELECT count("#json:tags") FROM ceems.units WHERE id BETWEEN 30 AND 34', empty_database)
    assert odd == [(0,)]
    assert server.rows("SELECT \"#json:tags\"->>'a' FROM ceems.units WHERE id = 40", empty_database) == [("é😀",)]
    check_rollups(server, empty_database)


def test_a_column_that_a_newer_ceems_adds(
    site: Path, writer: sqlite3.Connection, server: Server, empty_database: str
) -> None:
    with feeding(site, server, empty_database) as feeder:
        feeder.step()
        writer.execute("ALTER TABLE units ADD COLUMN gpu_model text DEFAULT 'none'")
        writer.execute("UPDATE units SET gpu_model = 'a100' WHERE id = 12")
        assert feeder.step() is Step.FILLED
    assert server.rows("SELECT gpu_model FROM ceems.units WHERE id IN (12, 13) ORDER BY id", empty_database) == [
        ("a100",),
        ("none",),
    ]
    check_fed(site, server, empty_database)


def test_a_server_that_goes_away(site: Path, writer: sqlite3.Connection, server: Server, empty_database: str) -> None:
    feeder = Feeder(settings(site, server, empty_database), open_rows=PythonRows)
    with closing(feeder):
        feeder.open()
        feeder.step()
        server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ceems-grpc'")
        writer.execute(FILE_CHANGES["update"])
        with pytest.raises(StoreError):
            feeder.step()
        assert not feeder.is_open
        feeder.open()
        assert feeder.step() in {Step.CAUGHT_UP, Step.FILLED}
        check_fed(site, server, empty_database)


def test_says_what_stands_in_the_way(site: Path, server: Server, empty_database: str) -> None:
    def message(*options: str) -> str:
        done = run(site, server, empty_database, "--once", *options)
        assert done.returncode == 1, done.stderr
        return done.stderr

    assert "does not answer" in message("--to", f"postgresql://postgres@127.0.0.1:{free_port()}/x")
    assert "password" in message("--to", server.url(empty_database, "nobody"))
    assert "--password-file" in message("--to", server.full_url(empty_database))
    assert "no time zone 'Mars'" in message("--timezone", "Mars")
    missing = message("--database", str(site.with_name("none.db")))
    assert "none.db" in missing
    server.run("CREATE SCHEMA ceems", "CREATE TABLE ceems.layout (version integer, kind text)", database=empty_database)
    server.run("INSERT INTO ceems.layout VALUES (0, 'local')", database=empty_database)
    assert "have layout 0, and this program writes layout 1" in message()


def test_shows_metrics(site: Path, writer: sqlite3.Connection, server: Server, empty_database: str) -> None:
    port = free_port()
    options = ("--interval", "0.05", "--metrics", f"127.0.0.1:{port}")
    with subprocess.Popen(command(site, server, empty_database, *options), stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        try:
            while b"PostgreSQL is up to date" not in (line := running.stderr.readline()):
                assert line, "the feeder ended"
            metrics = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        finally:
            running.terminate()
            running.stderr.read()
    assert running.returncode == 0, "it ends in order"
    assert 'ceems_feed_looks_total{result="filled",site="a"} 1.0' in metrics
    (lag,) = (line for line in metrics.splitlines() if line.startswith('ceems_feed_lag_seconds{site="a"}'))
    assert float(lag.split()[-1]) < 60
    (rows,) = (line for line in metrics.splitlines() if line.startswith('ceems_feed_rows_written_total{site="a"}'))
    assert float(rows.split()[-1]) > 1_500


def test_needs_tables_or_the_right_to_make_them(site: Path, server: Server, empty_database: str) -> None:
    server.run("DROP ROLE IF EXISTS nothing", f"CREATE ROLE nothing LOGIN PASSWORD '{PASSWORD}'")
    with pytest.raises(FeedError, match="may not create them"):
        feed_once(site, server.url(empty_database, "nothing"), password=PASSWORD, site="a")
