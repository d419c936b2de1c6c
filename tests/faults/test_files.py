"""Faults of the database file while the plugin runs: each is reported, and the error ends when the fault does."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.checked_plugin import CheckedPlugin, Pristine, checked_plugin, make_pristine, names

MISSING = "There is no database file at the configured path."
DAMAGED = "The file is not an SQLite database, or is damaged."


@pytest.fixture(scope="module", params=[False, True], ids=["live", "mirrored"])
def is_mirrored(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, is_mirrored: bool) -> Pristine:
    return make_pristine(tmp_path_factory.mktemp("first") / "ceems.db", 600, mirrored=is_mirrored)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, is_mirrored: bool) -> Pristine:
    return make_pristine(tmp_path_factory.mktemp("second") / "ceems.db", 900, mirrored=is_mirrored)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ceems.db"


@pytest.fixture
def folder(database: Path, is_mirrored: bool) -> Path | None:
    database.parent.mkdir()
    return database.parent.parent / "mirror" if is_mirrored else None


async def settled(here: CheckedPlugin, pristine: Pristine, folder: Path | None) -> None:
    """Fail unless everything works, also after the mirror has been made."""
    await here.is_well(pristine)
    if folder is not None:
        await here.mirrored()
        await here.is_well(pristine)
        assert names(folder, "*.duckdb")


async def test_missing_at_the_start_and_there_later(database: Path, folder: Path | None, first: Pristine) -> None:
    database.parent.rmdir()
    async with checked_plugin(database, folder) as here:
        await here.is_told(500, MISSING, database.parent)
        database.parent.mkdir()
        await here.is_told(500, MISSING, database)
        first.put(database)
        await settled(here, first, folder)


async def test_deleted_and_put_back(database: Path, folder: Path | None, first: Pristine, second: Pristine) -> None:
    first.put(database)
    async with checked_plugin(database, folder) as here:
        await settled(here, first, folder)
        kept = database.with_name("kept.db")
        move(database, kept)
        await here.is_told(500, MISSING, database)
        move(kept, database)
        await settled(here, first, folder)
        remove(database)
        await here.is_told(500, MISSING, database)
        second.put(database)
        await settled(here, second, folder)


async def test_replaced(database: Path, folder: Path | None, first: Pristine, second: Pristine) -> None:
    first.put(database)
    async with checked_plugin(database, folder) as here:
        await settled(here, first, folder)
        for pristine in (second, first):
            remove(database, keep=True)
            pristine.put(database)
            await settled(here, pristine, folder)


@pytest.mark.parametrize("beside", ["deleted", "left"])
async def test_restored_in_its_place(
    database: Path, folder: Path | None, first: Pristine, second: Pristine, beside: str
) -> None:
    first.put(database)
    async with checked_plugin(database, folder) as here:
        await settled(here, first, folder)
        for pristine in (second, first):
            if beside == "deleted":
                remove(database, keep=True)
            shutil.copyfile(pristine.path, database)  # into the same file
            await settled(here, pristine, folder)


async def test_restored_by_sqlite(database: Path, folder: Path | None, first: Pristine, second: Pristine) -> None:
    first.put(database)
    async with checked_plugin(database, folder) as here:
        await settled(here, first, folder)
        for pristine in (second, first):
            with closing(sqlite3.connect(pristine.path)) as backup, closing(sqlite3.connect(database)) as restored:
                backup.backup(restored)
            await settled(here, pristine, folder)


@pytest.mark.parametrize("left", [0, 40_000])
async def test_truncated(database: Path, folder: Path | None, first: Pristine, second: Pristine, left: int) -> None:
    first.put(database)
    async with checked_plugin(database, folder) as here:
        await settled(here, first, folder)
        os.truncate(database, left)
        await here.is_told(500, "The database file is empty" if not left else DAMAGED, database)
        remove(database)
        second.put(database)
        await settled(here, second, folder)


async def test_corrupted_in_the_middle(database: Path, folder: Path | None, first: Pristine, second: Pristine) -> None:
    first.put(database)
    async with checked_plugin(database, folder) as here:
        await settled(here, first, folder)
        corrupt(database)
        await here.is_told(500, DAMAGED, database)
        remove(database)
        second.put(database)
        await settled(here, second, folder)


async def test_something_else(database: Path, folder: Path | None, first: Pristine) -> None:
    write(database, b"key: value\n" * 10_000)
    async with checked_plugin(database, folder) as here:
        await here.is_told(500, DAMAGED, database)
        first.put(database)
        await settled(here, first, folder)


def move(old: Path, new: Path) -> None:
    old.rename(new)


def write(database: Path, data: bytes) -> None:
    database.write_bytes(data)


def remove(database: Path, *, keep: bool = False) -> None:
    """Delete a database, or only the files that SQLite keeps next to it."""
    for suffix in ("-wal", "-shm") if keep else ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def corrupt(database: Path) -> None:
    """Overwrite the pages of tables and indexes, except the root pages, in the first part of the file."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        roots = {root for (root,) in connection.execute("SELECT rootpage FROM sqlite_master")}
    with database.open("r+b") as file:
        for page in range(2, 200):
            if page not in roots:
                file.seek((page - 1) * size)
                file.write(b"\xa5" * size)
