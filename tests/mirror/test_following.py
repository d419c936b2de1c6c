"""The mirror follows the commits of a database, by the pages that they wrote if possible."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ceems_grpc.store.columnar.layout import Meta
from ceems_grpc.store.duckdb.fill import FillJob, fill
from ceems_grpc.store.duckdb.reader import MirrorReader
from tests.support.mirrors import check, count, following, is_mirrored, make_site

FILE_CHANGES = {
    "update": "UPDATE units SET total_cpu_energy_usage_kwh = '{\"total\":7.5}' WHERE id % 97 = 3",
    "update without a time": "UPDATE units SET num_updates = num_updates + 1 WHERE id = 800",
    "insert": "INSERT INTO units (cluster_id, uuid, started_at, ended_at_ts, ignore, total_time_seconds)"
    " SELECT cluster_id, uuid || 'x', started_at, 0, 0, total_time_seconds FROM units WHERE id < 90",
    "delete old": "DELETE FROM units WHERE id < 300",
    "delete here and there": "DELETE FROM units WHERE id % 31 = 5",
    "large row": "UPDATE units SET tags = json_object('text', hex(zeroblob(9000))) WHERE id = 700",
    "new user": "INSERT INTO users (cluster_id, name, projects) VALUES ('slurm-cpu', 'zoe', '[\"a\"]')",
    "daily": "UPDATE daily_usage SET total_cpu_emissions_gms = '{\"new_total\":1}' WHERE id = 4",
    "delete all": "DELETE FROM units",
    "nothing": "UPDATE units SET num_updates = 1 WHERE id = -1",
}


@pytest.fixture
def fills(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by one whenever a mirror is made."""
    made: list[str] = []

    def counted(job: FillJob) -> Meta:
        made.append(job.target)
        return fill(job)

    monkeypatch.setattr("ceems_grpc.store.duckdb.follower.fill", counted)
    return made


async def test_takes_only_what_commits_touched(
    site: Path, writer: sqlite3.Connection, tmp_path: Path, fills: list[str]
) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        for name, statement in FILE_CHANGES.items():
            writer.execute(statement)
            assert await store.settled(), (name, (await store.facts()).mirror_problem)
            assert await is_mirrored(store), name
            await check(store, site)
            assert len(fills) == 1, name


async def test_rows_that_are_larger_than_a_page(
    site: Path, writer: sqlite3.Connection, tmp_path: Path, fills: list[str]
) -> None:
    # Only an overflow page changes, which has no row id.
    text = (
        "UPDATE units SET last_updated_at = '2026-02-20T10:00:00', tags = json_object('text', hex(zeroblob(9000)) || ?)"
    )
    async with following(site, tmp_path / "cache") as store:
        writer.execute(f"{text} WHERE id IN (5, 700)", ("a",))
        assert await store.settled()
        writer.execute(f"{text} WHERE id = 700", ("b",))
        assert await store.settled()
        await check(store, site)
        assert len(fills) == 1


async def test_the_log_begins_anew(site: Path, writer: sqlite3.Connection, tmp_path: Path, fills: list[str]) -> None:
    async with following(site, tmp_path / "cache") as store:
        writer.execute(FILE_CHANGES["update"])
        assert await store.settled()
        for _ in range(3):
            writer.execute("PRAGMA wal_checkpoint(RESTART)")
            writer.execute(FILE_CHANGES["update without a time"])
            assert await store.settled()
            await check(store, site)
        assert len(fills) == 1
        # The log restarts twice, which loses the pages of the first round: only a new mirror is right.
        for row in (11, 12):
            writer.execute("PRAGMA wal_checkpoint(RESTART)")
            writer.execute("UPDATE units SET tags = '{}' WHERE id = ?", (row,))
        assert await store.settled()
        await check(store, site)
        assert len(fills) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "VACUUM",
        "ALTER TABLE units ADD COLUMN total_new_stats text DEFAULT '{\"x\":1}'",
        "ALTER TABLE units RENAME COLUMN total_egress_stats TO total_outgress_stats",
        "DROP TABLE admin_users",
        "PRAGMA journal_mode = DELETE",
    ],
)
async def test_changes_of_the_whole_file(
    site: Path, writer: sqlite3.Connection, tmp_path: Path, statement: str
) -> None:
    if statement.startswith("PRAGMA"):  # only possible while no other process has the file open
        writer.execute(statement)
        async with following(site, tmp_path / "cache") as store:
            assert await store.settled()
            writer.execute(FILE_CHANGES["update"])
            assert await store.settled()
            await check(store, site)
        return
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        writer.execute(statement)
        assert await store.settled()
        assert await is_mirrored(store)
        await check(store, site)


def restore(backup: Path, site: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{site}{suffix}").unlink(missing_ok=True)
    shutil.move(backup, site)


async def test_a_replaced_file(site: Path, tmp_path: Path) -> None:
    other = make_site(tmp_path / "other.db", units=300)
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        async with store.read() as reader:
            assert await count(reader) == 1_500
        await asyncio.to_thread(restore, other, site)
        async with store.read() as reader:
            assert await count(reader) == 300
        assert await store.settled()
        assert await is_mirrored(store)
        await check(store, site)


async def test_a_reader_keeps_its_moment(site: Path, writer: sqlite3.Connection, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        async with store.read() as reader:
            assert isinstance(reader, MirrorReader)
            writer.execute("DELETE FROM units WHERE id > 100")
            assert await store.settled()
            assert await count(reader) == 1_500
        async with store.read() as reader:
            assert await count(reader) == 100


async def test_a_value_that_its_column_cannot_hold_is_followed_as_none(
    site: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        writer.execute("UPDATE units SET num_updates = 'many' WHERE id = 3")
        assert await store.settled()
        await check(store, site)
        writer.execute("UPDATE units SET num_updates = 2 WHERE id = 3")
        assert await store.settled()
        await check(store, site)


async def test_commits_of_others_only_while_it_is_used(site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache", interval=0.02, idle=0.0) as store:
        async with store.read() as reader:
            assert await count(reader) == 1_500
        with closing(sqlite3.connect(site)) as other:
            other.execute("DELETE FROM units WHERE id = 1")
            other.commit()
        async with store.read() as reader:
            assert await count(reader) == 1_499
