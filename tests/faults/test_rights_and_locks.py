"""A file that may not be read for a while, a writer that keeps its lock, and a disk without room for the mirror."""

import asyncio
import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.checked_plugin import (
    Numbers,
    Pristine,
    Refusal,
    as_python,
    as_user,
    checked_plugin,
    make_pristine,
    names,
    numbers_of,
)
from tests.support.other_user import NOBODY
from tests.support.plugin.ceems import COMMAND
from tests.support.waiting import eventually

_LITTLE = 64 * 1024  # bytes that a file may have on a disk that is "full"; logs and sockets are smaller


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Pristine:
    return make_pristine(tmp_path_factory.mktemp("large") / "ceems.db", 600, mirrored=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that other users may enter; pytest's own folders are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize("mirrored", [False, True], ids=["live", "mirrored"])
async def test_unreadable_and_readable_again(open_folder: Path, large: Pristine, mirrored: bool) -> None:
    database = large.put(open_folder / "ceems.db")
    database.chmod(0o644)
    mirror = open_folder / "mirror" if mirrored else None
    # A user other than root can remove its own right to read.
    command = as_user(NOBODY) if os.geteuid() == 0 else COMMAND
    with closing(sqlite3.connect(database, isolation_level=None)) as keeper:  # as ceems_api_server keeps it open
        keeper.execute("UPDATE users SET tags = tags")
        for suffix in ("-wal", "-shm"):
            database.with_name(database.name + suffix).chmod(0o644)
        async with checked_plugin(database, mirror, command) as here:
            await here.is_well(large)
            if mirrored:
                await here.mirrored()
            for closed, mode in ((database, 0o644), (open_folder, 0o777)):
                closed.chmod(0)
                await here.is_told(500, "may not be read by the user that Grafana runs as", closed)
                closed.chmod(mode)
                await here.is_well(large)
            if mirrored:
                await here.mirrored()


async def test_a_writer_that_keeps_its_lock_for_ten_seconds(tmp_path: Path) -> None:
    pristine = make_pristine(tmp_path / "pristine.db", 300, mirrored=False, journal="delete")
    database = pristine.put(tmp_path / "ceems.db")
    async with checked_plugin(database, None) as here:
        await here.is_well(pristine)
        with closing(sqlite3.connect(database, isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            released = asyncio.create_task(asyncio.sleep(10))
            refused, health = await asyncio.gather(here.ask(), here.health())
            assert isinstance(refused, Refusal)
            assert (refused.status, refused.text) == (503, "The database is locked by a writer; try again in a moment.")
            assert health == (False, refused.text)
            assert not released.done(), "the error comes while the lock is held"
            rest = asyncio.create_task(here.ceems.resource("admin", "units/admin"))
            await released
            waiting = asyncio.create_task(here.ask())
            await asyncio.sleep(0.2)
            assert not waiting.done()
            writer.execute("ROLLBACK")
            assert await waiting == pristine.numbers, "a question shortly before the end only waits"
            assert (await rest).status in {200, 503}
        await here.is_well(pristine)


async def test_a_writer_in_wal_mode_that_keeps_its_lock_keeps_nobody(tmp_path: Path, large: Pristine) -> None:
    for mirror in (None, tmp_path / "mirror"):
        database = large.put(tmp_path / "ceems.db")
        with closing(sqlite3.connect(database, isolation_level=None)) as writer:
            async with checked_plugin(database, mirror) as here:
                await here.is_well(large)
                writer.execute("BEGIN IMMEDIATE")
                writer.execute("DELETE FROM units")
                writer.execute("DELETE FROM usage")
                await here.is_well(large)
                if mirror:
                    await here.mirrored()
                    await here.is_well(large)
                writer.execute("ROLLBACK")
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)


async def test_no_room_for_the_mirror(tmp_path: Path, large: Pristine) -> None:
    database = large.put(tmp_path / "ceems.db")
    folder = tmp_path / "mirror"
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({_LITTLE}, resource.RLIM_INFINITY))"
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("UPDATE users SET tags = tags")
        async with checked_plugin(database, folder, as_python(limit)) as here:

            async def is_told() -> bool:
                return "its mirror is not up to date" in (await here.health())[1]

            await eventually(is_told)
            await here.is_well(large)
            assert not names(folder, "*.duckdb")
            assert not names(folder, "*.building")
            resource.prlimit(here.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await here.mirrored()
            await here.is_well(large)
            assert not await is_told()
            # The disk is full after the mirror has been made, when it must follow.
            resource.prlimit(here.pid, resource.RLIMIT_FSIZE, (_LITTLE, resource.RLIM_INFINITY))
            writer.execute("DELETE FROM units WHERE id % 2")
            remaining = await here.ask()
            assert not isinstance(remaining, Refusal), remaining
            assert remaining.units < large.numbers.units
            resource.prlimit(here.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await here.mirrored()
            assert await here.ask() == remaining


async def test_the_mirror_is_deleted_and_damaged(tmp_path: Path, large: Pristine) -> None:
    database, folder = large.put(tmp_path / "ceems.db"), tmp_path / "mirror"
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("UPDATE users SET tags = tags")
        async with checked_plugin(database, folder) as here:
            await here.mirrored()
            for path in names(folder):
                path.unlink()
            await here.is_well(large)
            writer.execute("DELETE FROM units WHERE id % 2")
            remaining = await here.ask()
            assert isinstance(remaining, Numbers)
            assert remaining.units == numbers_of(writer).units
        async with checked_plugin(database, folder) as here:
            await here.mirrored()
        (mirror,) = names(folder, "*.duckdb")
        os.truncate(mirror, mirror.stat().st_size // 2)
        async with checked_plugin(database, folder) as here:
            assert await here.ask() == remaining
            await here.mirrored()
            assert await here.ask() == remaining
            assert names(folder, "*.duckdb") != [mirror]
