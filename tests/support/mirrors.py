"""A database as on a real site, in WAL mode with a writer, and stores that follow it."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ceems_grpc.demo.database import write_demo_database
from ceems_grpc.store.duckdb.reader import MirrorReader
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.plan import ALWAYS, Aggregate, AllKeys, Count, Key, KeyScan, Order, Scan, Sum, Table
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.compare import check_same
from tests.support.plans import Plan, ask

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Paris")
ENERGY = Key("total_cpu_energy_usage_kwh", "total")
PLANS: tuple[Plan, ...] = (
    Aggregate(
        Table.UNITS,
        ("cluster_id",),
        (Count("units"), Sum("energy", ENERGY), Sum("updates", "num_updates")),
        ALWAYS,
        (Order("cluster_id"),),
    ),
    Scan(
        Table.UNITS,
        ("id", "uuid", AllKeys("total_time_seconds"), AllKeys("tags", numeric=False)),
        ALWAYS,
        (Order("id"),),
    ),
    Scan(Table.USAGE, ("username", AllKeys("total_cpu_emissions_gms")), ALWAYS, (Order("id"),)),
    Scan(Table.USERS, ("name", "projects"), ALWAYS, (Order("id"),)),
    KeyScan(Table.DAILY_USAGE, ("total_cpu_emissions_gms",)),
)


def make_site(path: Path, units: int = 1_500) -> Path:
    """Write a database of a few weeks."""
    write_demo_database(path, units=units, days=20, users=12, now=NOW)
    return path


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that no test opens; tests copy it."""
    return make_site(tmp_path_factory.mktemp("site") / "ceems.db")


@pytest.fixture
def site(pristine: Path, tmp_path: Path) -> Path:
    """Return a database in WAL mode."""
    return Path(shutil.copy(pristine, tmp_path))


@pytest.fixture
def writer(site: Path) -> Iterator[sqlite3.Connection]:
    """Return a connection that may write to the database."""
    with closing(sqlite3.connect(site, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def settings(folder: Path, **more: Any) -> MirrorSettings:
    """Return settings with which the mirror does nothing unless a test asks for it."""
    return MirrorSettings(**{"folders": (folder,), "interval": 60.0, "retry": 0.0, **more})


@asynccontextmanager
async def following(path: Path, folder: Path, **more: Any) -> AsyncIterator[MirroredStore]:
    """Open a store with a mirror."""
    store = MirroredStore(SqliteStore(path, zone=ZONE), settings(folder, **more))
    try:
        yield store
    finally:
        await store.close()


async def is_mirrored(store: MirroredStore) -> bool:
    """Return whether the mirror answers the next question."""
    async with store.read() as reader:
        return isinstance(reader, MirrorReader)


async def answers(store: MirroredStore | SqliteStore) -> list[Any]:
    """Return the answers of one reader to all plans."""
    async with store.read() as reader:
        return [await ask(reader, plan) for plan in PLANS]


async def check(store: MirroredStore, path: Path) -> None:
    """Fail unless the store's answers are those of the file."""
    live = SqliteStore(path, zone=ZONE)
    try:
        for plan, ours, theirs in zip(PLANS, await answers(store), await answers(live), strict=True):
            check_same(plan, ours, theirs)
    finally:
        await live.close()


async def count(reader: Reader) -> int:
    """Return the number of units."""
    table = await reader.aggregate(Aggregate(Table.UNITS, (), (Count("units"),)))
    return int(table.column("units")[0].as_py())
