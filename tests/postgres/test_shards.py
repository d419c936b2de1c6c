"""Large tables on other servers: the feeder writes there, and the servers aggregate their own rows in parallel."""

import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from ceems_grpc.feed.feeder import Feeder, FeedSettings
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.follow.keeper import Step
from ceems_grpc.store.postgres.connection import Address
from ceems_grpc.store.postgres.feed.write import PostgresTarget
from ceems_grpc.store.sqlite.source_rows import PythonRows
from tests.mirror.test_following import FILE_CHANGES
from tests.postgres.fed_rows import check_fed
from tests.postgres.test_feed import command, commits
from tests.support.mirrors import ZONE
from tests.support.postgres.servers import Shards
from tests.support.postgres.setup import FEEDER, READER, new_sharded_database

PER_CLUSTER = """
    SELECT cluster_id, sum(units), sum(energy) FROM (
      SELECT part, cluster_id, count(*) AS units, sum("{place}") AS energy FROM ceems.units
       WHERE "#moment" BETWEEN 1700000000 AND 1900000000 GROUP BY part, cluster_id) AS parts
    GROUP BY cluster_id
"""


@pytest.fixture
def database(shards: Shards) -> str:
    return new_sharded_database(shards)


@contextmanager
def feeding(path: Path, shards: Shards, database: str, **more: Any) -> Iterator[Feeder]:
    address = Address(shards.coordinator.url(database, "ceems_feeder"), FEEDER)
    with closing(Feeder(FeedSettings(path, address, "a", zone=ZONE, **more), open_rows=PythonRows)) as feeder:
        feeder.open()
        yield feeder


def plan_of(shards: Shards, database: str, statement: str) -> list[dict[str, Any]]:
    """Return all nodes of a query plan, as made for the reader's role."""
    url = shards.coordinator.full_url(database, "ceems_reader", READER)
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        cursor.execute(f"EXPLAIN (FORMAT JSON, VERBOSE, ANALYZE) {statement}")
        ((text,),) = cursor.fetchall()
    nodes: list[dict[str, Any]] = []

    def visit(node: dict[str, Any]) -> None:
        nodes.append(node)
        for child in node.get("Plans", ()):
            visit(child)

    visit(json.loads(text)[0]["Plan"])
    return nodes


def place_of(shards: Shards, database: str, metric: str, key: str) -> str:
    ((found,),) = shards.coordinator.rows(
        f"SELECT layout->'keys'->'{metric}'->>'{key}' FROM ceems.catalog WHERE table_name = 'units'", database
    )
    return str(found)


def test_rows_lie_on_all_shards(site: Path, writer: sqlite3.Connection, shards: Shards, database: str) -> None:
    with feeding(site, shards, database) as feeder:
        assert feeder.step() is Step.FILLED
        check_fed(site, shards.coordinator, database)
        for number, server in enumerate(shards.shards.values()):
            ((rows,),) = server.rows(f"SELECT count(*) FROM ceems.units_p{number}", database)
            assert 0 < int(str(rows)) < 1_500
        for name in ("update", "insert", "delete here and there", "daily", "new user"):
            writer.execute(FILE_CHANGES[name])
            assert feeder.step() is Step.CAUGHT_UP, name
            check_fed(site, shards.coordinator, database)


def test_shards_sum_up_by_themselves(site: Path, shards: Shards, database: str) -> None:
    """Checks what the tables allow; test_pushdown.py checks what the store sends."""
    with feeding(site, shards, database) as feeder:
        feeder.step()
    for server in shards.shards.values():
        server.run("ANALYZE", database=database)  # as autovacuum does a minute later
    place = place_of(shards, database, "total_cpu_energy_usage_kwh", "total")
    nodes = plan_of(shards, database, PER_CLUSTER.format(place=place))
    scans = [node for node in nodes if node["Node Type"] == "Foreign Scan"]
    assert len(scans) == 2
    for scan in scans:
        assert scan["Relations"].startswith("Aggregate on")
        summed = r"SELECT part, cluster_id, count\(\*\), sum\(\"#\d+\"\) FROM .* GROUP BY 1, 2"
        assert re.match(summed, scan["Remote SQL"])
        assert '"#moment" >= 1700000000' in scan["Remote SQL"]
    # A question about one user goes to the one shard that has the user's part.
    one = plan_of(shards, database, "SELECT uuid FROM ceems.units WHERE part = 3 AND username = 'x'")
    assert [node["Node Type"] for node in one] == ["Foreign Scan"]


def test_a_new_key_reaches_the_shards_without_a_hand(
    site: Path, writer: sqlite3.Connection, shards: Shards, database: str
) -> None:
    with feeding(site, shards, database) as feeder:
        feeder.step()
        writer.execute("UPDATE units SET total_cpu_emissions_gms = '{\"new_total\":2.5}' WHERE id BETWEEN 20 AND 60")
        assert feeder.step() is Step.CAUGHT_UP
    place = place_of(shards, database, "total_cpu_emissions_gms", "new_total")
    assert shards.coordinator.rows(f'SELECT sum("{place}") FROM ceems.units', database) == [(41 * 2.5,)]
    check_fed(site, shards.coordinator, database)


def test_a_shard_that_is_down(site: Path, writer: sqlite3.Connection, shards: Shards, database: str) -> None:
    lost = shards.shards["shard2"]
    with feeding(site, shards, database) as feeder:
        feeder.step()
        lost.stop()
        try:
            writer.execute(FILE_CHANGES["update"])
            with pytest.raises(StoreError) as raised:
                feeder.step()
            assert "cannot be reached" in str(raised.value) or "lost" in str(raised.value)
            with pytest.raises(dbapi.Error):
                plan_of(shards, database, "SELECT count(*) FROM ceems.units")
        finally:
            lost.start()
        feeder.open()
        assert feeder.step() in {Step.CAUGHT_UP, Step.FILLED}
    check_fed(site, shards.coordinator, database)


def test_shards_that_have_committed_alone(
    site: Path, writer: sqlite3.Connection, shards: Shards, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator lost power between the commits of the shards and its own: its rows are older than the shards'."""
    server = shards.coordinator
    local = ("feed_state", "sites", "units_hourly", "units_daily", "users", "projects", "admin_users")

    def write(target: PostgresTarget) -> None:
        # The coordinator's committed state when the shards are written for the first time.
        copies = (f"CREATE TABLE IF NOT EXISTS public.{name} AS SELECT * FROM ceems.{name}" for name in local)
        server.run(*copies, database=database)
        original(target)

    original = PostgresTarget._write
    with feeding(site, shards, database) as feeder:
        feeder.step()
        monkeypatch.setattr(PostgresTarget, "_write", write)
        for name in ("update", "insert", "delete here and there"):
            writer.execute(FILE_CHANGES[name])
            assert feeder.step() is Step.CAUGHT_UP
        monkeypatch.undo()
    for name in local:
        restore = f"INSERT INTO ceems.{name} SELECT * FROM public.{name}"
        server.run(f"DELETE FROM ceems.{name}", restore, database=database)
    with feeding(site, shards, database) as feeder:
        assert feeder.step() is Step.FILLED
    check_fed(site, server, database)


def test_is_killed_while_it_writes_to_shards(
    site: Path, writer: sqlite3.Connection, shards: Shards, database: str
) -> None:
    options = ("--interval", "0.01")
    site.with_name("password").touch(0o600)
    site.with_name("password").write_text(FEEDER)
    before = 0
    for delay in (0.0, 0.1, 0.3):
        running = subprocess.Popen(
            command(site, shards.coordinator, database, *options, user="ceems_feeder"), stderr=subprocess.PIPE
        )
        with running:
            while commits(shards.coordinator, database) <= before + 1:
                assert running.poll() is None
                writer.execute("UPDATE units SET num_updates = num_updates + 1 WHERE id % 40 = 7")
                time.sleep(0.03)
            time.sleep(delay)
            running.send_signal(signal.SIGKILL)
            assert running.stderr is not None
            running.stderr.read()
        before = commits(shards.coordinator, database)
    with feeding(site, shards, database, keep_history=False) as feeder:
        feeder.step()
    check_fed(site, shards.coordinator, database)
