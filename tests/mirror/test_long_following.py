"""Long series of changes, many rows at once, killed processes, full disks: the mirror stays correct."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.duckdb.reader import MirrorReader
from ceems_grpc.store.follow import changes as follow_changes
from ceems_grpc.store.plan import AllKeys, Order, Scan, Table
from ceems_grpc.store.sqlite.source_rows import PythonRows
from ceems_grpc.store.sqlite.wal_changes import Changes, SeenRows
from tests.support.compare import check_same
from tests.support.mirrors import answers, check, count, following, is_mirrored
from tests.support.plans import ask
from tests.support.waiting import eventually

# Follows a database and prints the number of each mirror that it has brought up to date, until it is killed.
PROCESS = """
import asyncio, resource, sys
from pathlib import Path
from tests.support.mirrors import check, following, is_mirrored

async def main():
    limit = int(sys.argv[3])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    site = Path(sys.argv[1])
    async with following(site, Path(sys.argv[2])) as store:
        while True:
            settled = await store.settled()
            await check(store, site)
            facts = await store.facts()
            print(settled, await is_mirrored(store), facts.mirror, bool(facts.mirror_problem), flush=True)
            if limit:
                return

import logging
logging.basicConfig(format="%(message)s: %(detail)s", stream=sys.stdout)
asyncio.run(main())
"""
TABLES = ("units", "usage", "daily_usage")
ids = st.lists(st.integers(1, 60), min_size=1, max_size=6)
TOUCH = "UPDATE {table} SET num_updates = num_updates + 1 WHERE id IN ({ids})"
MAKE_LARGE = "UPDATE {table} SET total_ingress_stats = json_object('a', {size}) WHERE id IN ({ids})"
# The kept tables hold copies of the original rows: deleted rows come back with their ids, and old contents return.
RESTORE = "INSERT OR REPLACE INTO {table} SELECT * FROM kept_{table} WHERE id IN ({ids})"
STATEMENTS = (
    TOUCH,
    RESTORE,
    "DELETE FROM {table} WHERE id IN ({ids})",
    "DELETE FROM {table} WHERE id <= {size}",
    "UPDATE {table} SET avg_cpu_usage = json_object('k{size}', 1.5, 'global', {size}) WHERE id IN ({ids})",
    "UPDATE {table} SET groupname = hex(zeroblob({size} * 60)) WHERE id IN ({ids})",
    "UPDATE {table} SET avg_cpu_usage = (SELECT k.avg_cpu_usage FROM kept_{table} AS k WHERE k.id = {table}.id),"
    " num_updates = (SELECT k.num_updates FROM kept_{table} AS k WHERE k.id = {table}.id) WHERE id IN ({ids})",
)
steps = st.lists(
    st.lists(
        st.tuples(st.sampled_from(STATEMENTS), st.sampled_from(TABLES), ids, st.integers(1, 50)), min_size=1, max_size=3
    ),
    min_size=3,
    max_size=7,
)
WHOLE = tuple(
    Scan(Table(table), ("id", "num_updates", "groupname", AllKeys("avg_cpu_usage")), order=(Order("id"),))
    for table in TABLES
)


@settings(
    max_examples=10,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps)
def test_many_changes_one_after_another(
    pristine: Path, monkeypatch: pytest.MonkeyPatch, rounds: list[list[tuple[str, str, list[int], int]]]
) -> None:
    monkeypatch.setattr(follow_changes, "_SMALL", 5)
    monkeypatch.setattr(follow_changes, "_OLDEST", 30)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(shutil.copy(pristine, folder))
        with closing(sqlite3.connect(site, isolation_level=None)) as writer:
            writer.execute("PRAGMA synchronous = OFF")
            for table in TABLES:
                writer.execute(f"DELETE FROM {table} WHERE id > 80")
                writer.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
            asyncio.run(_follow(site, Path(folder) / "cache", writer, rounds))


async def _follow(
    site: Path, folder: Path, writer: sqlite3.Connection, rounds: list[list[tuple[str, str, list[int], int]]]
) -> None:
    async with following(site, folder) as store:
        assert await store.settled()
        for statements in rounds:
            writer.execute("BEGIN")
            for statement, table, chosen, size in statements:
                writer.execute(statement.format(table=table, ids=", ".join(map(str, chosen)), size=size))
            writer.execute("COMMIT")
            assert await store.settled()
            for plan in WHOLE:
                async with store.read() as reader, store._live.read() as live:
                    assert isinstance(reader, MirrorReader)
                    check_same(plan, await ask(reader, plan), await ask(live, plan))


async def test_reads_only_rows_that_changed(
    site: Path, writer: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    batches = PythonRows.batches

    def counted(rows: PythonRows, statement: str) -> object:
        for batch in batches(rows, statement):
            read.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(PythonRows, "batches", counted)
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        for first in (True, False):
            writer.execute("UPDATE units SET num_updates = num_updates + 1 WHERE id IN (3, 700, 1400)")
            read.clear()
            assert await store.settled()
            assert sum(read) > 3 if first else sum(read) == 3
        await check(store, site)


def test_few_rows_are_remembered_and_only_for_one_state() -> None:
    old, new = (Version(None, None, counter, wal_mode=True, wal=None) for counter in (1, 2))
    seen = SeenRows(most=2)
    seen.remember(Changes({}, other_pages=False, digests={(3, row): b"x" for row in (1, 2, 3)}), old, new)
    assert set(seen.at(new)) == {(3, 2), (3, 3)}
    assert not seen.at(old)
    seen.forget_up_to(2)
    assert set(seen.at(new)) == {(3, 3)}
    seen.remember(Changes({}, other_pages=False, digests={(3, 4): b"x", (3, 3): None}), new, old)
    assert set(seen.at(old)) == {(3, 4)}


async def test_a_row_of_a_small_table_comes_back_as_another_goes(
    site: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    assert writer.execute("SELECT count(*) FROM usage").fetchone()[0] < 1_000
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        writer.execute("UPDATE usage SET num_updates = num_updates + 1 WHERE id IN (1, 2)")
        assert await store.settled()
        writer.execute("CREATE TEMP TABLE kept AS SELECT * FROM usage WHERE id = 1")
        writer.execute("DELETE FROM usage WHERE id = 1")
        assert await store.settled()
        writer.execute("BEGIN")
        writer.execute("INSERT INTO usage SELECT * FROM kept")
        writer.execute("DELETE FROM usage WHERE id = 2")
        writer.execute("COMMIT")
        assert await store.settled()
        await check(store, site)


async def test_retention_deletes_tens_of_thousands(site: Path, writer: sqlite3.Connection, tmp_path: Path) -> None:
    names = ", ".join(
        f'"{row[1]}"' for row in writer.execute("PRAGMA table_info(units)") if row[1] not in {"id", "uuid"}
    )
    writer.execute("BEGIN")
    writer.execute(
        f"INSERT INTO units (uuid, {names}) SELECT uuid || '-' || n.value, {names} FROM units,"
        " json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14]') AS n"
    )
    writer.execute("COMMIT")
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        async with store.read() as before:
            assert await count(before) == 22_500
            writer.execute("DELETE FROM units WHERE id <= 20000 AND id % 100 > 0")
            assert await store.settled()
            assert await count(before) == 22_500  # its moment
        async with store.read() as after:
            assert isinstance(after, MirrorReader)
            assert await count(after) == 2_700
        await check(store, site)


async def test_a_process_that_is_killed_while_it_catches_up(
    site: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    for _ in range(2):
        command = [sys.executable, "-c", PROCESS, str(site), str(folder), "0"]
        process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "True True fresh False\n"
            for _ in range(5):
                writer.execute("UPDATE units SET num_updates = num_updates + 1 WHERE id % 3 = 0")
                await asyncio.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        async with following(site, folder) as store:
            assert await store.settled()
            assert await is_mirrored(store)
            await check(store, site)


async def test_a_disk_that_is_full_for_the_mirror(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    command = [sys.executable, "-c", PROCESS, str(site), str(folder), "300000"]
    done = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, text=True, check=True)
    *logged, told = done.stdout.splitlines()
    assert told == "False False behind True"
    assert any("the database itself answers" in line and "ceems-" in line for line in logged)
    assert not list(folder.glob("*.building*"))
    assert not list(folder.glob("*.duckdb*"))


async def test_a_disk_that_fills_while_it_catches_up(site: Path, writer: sqlite3.Connection, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    async with following(site, folder) as store:
        assert await store.settled()
        (mirror,) = folder.glob("*.duckdb")
    writer.execute("UPDATE units SET num_updates = num_updates + 1, tags = json_object('a', hex(randomblob(800)))")
    limit = str(mirror.stat().st_size + 4096)
    command = [sys.executable, "-c", PROCESS, str(site), str(folder), limit]
    done = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False behind True"
    async with following(site, folder) as store:
        assert await store.settled()
        assert await is_mirrored(store)
        await check(store, site)


async def test_readers_see_one_moment_while_it_catches_up(
    site: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    writer.execute("UPDATE units SET num_updates = 0")
    writer.execute("UPDATE usage SET num_updates = 0")
    seen: set[int] = set()
    plans = [Scan(table, ("num_updates",)) for table in (Table.UNITS, Table.USAGE)]
    async with following(site, tmp_path / "cache", interval=0.01) as store:
        assert await store.settled()

        async def write() -> None:
            for _ in range(15):
                writer.execute("BEGIN")
                writer.execute("UPDATE units SET num_updates = num_updates + 1")
                writer.execute("UPDATE usage SET num_updates = num_updates + 1")
                writer.execute("COMMIT")
                await asyncio.sleep(0.05)

        async def look() -> None:
            async with store.read() as reader:
                found = {value for plan in plans for value in (await reader.table(plan)).column(0).to_pylist()}
                assert len(found) == 1
                seen.update(found)

        await look()
        writing = asyncio.create_task(write())
        while not writing.done():
            await asyncio.gather(look(), look())
        await writing
        assert await store.settled()
        await look()
        assert seen >= {0, 15}
        assert await answers(store)
        await eventually(lambda: is_mirrored(store))
