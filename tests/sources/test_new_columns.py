"""Columns that `ceems_grpc.schema` does not describe, in one of two sources and in a source on another host."""

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from ceems_grpc.domain.questions.model import Filter, OrderBy, Selection, UnitsQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.merged.store import MergedStore
from ceems_grpc.store.postgres.store import PostgresStore
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.store import RemoteStore
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.store.new_columns import POWER, add_columns, fill, make_new, make_old
from tests.support.bridge_servers import Files, serving
from tests.support.databases import PARIS, SUMMER
from tests.support.postgres.servers import Server, Shards
from tests.support.postgres.setup import FEEDER, READER, new_sharded_database
from tests.support.postgres.stores import fed
from tests.support.postgres.stores import opened as opened_postgres

ANN = Viewer("ann")
SPAN = Window(SUMMER - 900, SUMMER + 900)
KEYS = (
    "total_custom_metrics.flops",
    "avg_custom_metrics.load",
    "min_custom_metrics.power",
    f"max_custom_metrics.{POWER}",
)
FIELDS = ("cluster_id", "uuid", *KEYS, "labels.a.b/c", "queue", "nodes", "share")


async def rows(store: Store, *fields: str, **more: Any) -> list[dict[str, Any]]:
    answer = await Ceems(store).units(ANN, UnitsQuestion(SPAN, fields=fields, **more))
    assert answer.warnings == ()
    found: list[dict[str, Any]] = answer.table.to_pylist()
    return found


def expected(cluster: str, *, new: bool) -> list[dict[str, Any]]:
    """Return the rows of the three units of a file; see `tests.store.new_columns`."""
    values: dict[str, tuple[Any, ...]] = {
        "1": (1.0, 10.0, 5.0, 300.0, "x", "gpu", 4, 0.1),
        "2": (2.5, 40.0, 2.0, 100.0, "y", "cpu", 12, 2.0),
    }
    return [
        dict(zip(FIELDS, (cluster, uuid, *(values.get(uuid, (None,) * 8) if new else (None,) * 8)), strict=True))
        for uuid in "123"
    ]


async def usage(store: Store, **more: Any) -> list[Mapping[str, Any]]:
    found = await Ceems(store).usage(ANN, UsageQuestion(SPAN, fields=("username", *KEYS), **more))
    answer: list[Mapping[str, Any]] = found.table.to_pylist()
    return answer


USED = [{"username": "ann", KEYS[0]: 3.5, KEYS[1]: 25.0, KEYS[2]: 2.0, KEYS[3]: 300.0}]


async def test_a_source_that_lacks_the_columns_gives_nulls(tmp_path: Path) -> None:
    old, new = make_old(tmp_path / "old.db", "os-0"), make_new(tmp_path / "new.db")
    store = MergedStore(
        [("old", lambda: SqliteStore(old, zone=PARIS)), ("new", lambda: SqliteStore(new, zone=PARIS))], None
    )
    try:
        assert await rows(store, *FIELDS) == [*expected("os-0", new=False), *expected("slurm-0", new=True)]
        assert await usage(store) == USED
        queue = Selection(filters=(Filter("queue", "!=", ("gpu",)),))
        assert len(await rows(store, "uuid", selection=queue)) == 5
    finally:
        await store.close()


@asynccontextmanager
async def remote(folder: Path, path: Path) -> AsyncIterator[RemoteStore]:
    keys = Files(folder)
    arguments = ["--database", str(path), *keys.tls, *keys.tokens, "--timezone", "Europe/Paris"]
    async with serving(*arguments) as server:
        endpoint = Endpoint(f"localhost:{server.port}", token=keys.token, ca_cert=keys.authority.certificate)
        store = RemoteStore(endpoint)
        try:
            yield store
        finally:
            await store.close()


async def test_columns_that_appear_in_one_of_two_sources(tmp_path: Path) -> None:
    old, new = make_old(tmp_path / "old.db", "os-0"), make_old(tmp_path / "new.db")
    store = MergedStore(
        [("old", lambda: SqliteStore(old, zone=PARIS)), ("new", lambda: SqliteStore(new, zone=PARIS))], None
    )
    try:
        assert await rows(store, "uuid")
        add_columns(new)
        fill(new)
        assert await rows(store, *FIELDS) == [*expected("os-0", new=False), *expected("slurm-0", new=True)]
        assert await usage(store) == USED
    finally:
        await store.close()


async def test_a_column_that_two_sources_declare_differently_is_text(tmp_path: Path) -> None:
    one, two = make_new(tmp_path / "one.db", "os-0"), make_old(tmp_path / "two.db")
    with closing(sqlite3.connect(two, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE units ADD COLUMN nodes text")
        connection.execute("ALTER TABLE units ADD COLUMN share integer")
        connection.execute("UPDATE units SET nodes = 'node-1', share = 3")
    store = MergedStore(
        [("one", lambda: SqliteStore(one, zone=PARIS)), ("two", lambda: SqliteStore(two, zone=PARIS))], None
    )
    try:
        found = await rows(store, "nodes", "share")
        assert [(row["nodes"], row["share"]) for row in found] == [
            ("4", 0.1),
            ("12", 2.0),
            (None, None),
            *[("node-1", 3.0)] * 3,
        ]
    finally:
        await store.close()


async def test_a_source_on_another_host(tmp_path: Path) -> None:
    async with remote(tmp_path, make_new(tmp_path / "new.db")) as store:
        assert await rows(store, *FIELDS) == expected("slurm-0", new=True)
        assert await usage(store) == USED
        selection = Selection(filters=(Filter("labels.a.b/c", "=", ("y",)),))
        assert await rows(store, "uuid", selection=selection) == [{"uuid": "2"}]


async def test_columns_that_appear_on_another_host(tmp_path: Path) -> None:
    path = make_old(tmp_path / "new.db")
    async with remote(tmp_path, path) as store:
        assert await rows(store, "uuid")
        add_columns(path)
        fill(path)
        assert await rows(store, *FIELDS) == expected("slurm-0", new=True)
        assert await usage(store) == USED


async def check_filters(store: Store) -> None:
    """Check filters and orders by the new columns of a site `slurm-0`."""
    for key, operator, value, uuids in (
        ("queue", "=", "gpu", "1"),
        (KEYS[3], "=", "100", "2"),
        ("nodes", ">", "5", "2"),
        ("nodes", "=", "4.0", "1"),
        ("share", "<=", "0.1", "1"),
        ("labels.a.b/c", "=", "y", "2"),
    ):
        selection = Selection(clusters=("slurm-0",), filters=(Filter(key, operator, (value,)),))
        assert "".join(row["uuid"] for row in await rows(store, "uuid", selection=selection)) == uuids, key
    selection = Selection(clusters=("slurm-0",))
    for descending, uuids in ((False, "123"), (True, "213")):
        found = await rows(store, "uuid", selection=selection, order=(OrderBy("nodes", descending=descending),))
        assert "".join(row["uuid"] for row in found) == uuids


async def test_postgresql(tmp_path: Path, server: Server, empty_database: str) -> None:
    fed(server, empty_database, make_new(tmp_path / "new.db"), PARIS)
    async with opened_postgres(server, empty_database) as store:
        assert await rows(store, *FIELDS) == expected("slurm-0", new=True)
        assert await usage(store) == USED
        await check_filters(store)


async def test_columns_that_appear_in_postgresql(tmp_path: Path, server: Server, empty_database: str) -> None:
    path = make_old(tmp_path / "new.db")
    fed(server, empty_database, path, PARIS)
    async with opened_postgres(server, empty_database) as store:
        assert await rows(store, "uuid")
        add_columns(path)
        fill(path)
        fed(server, empty_database, path, PARIS)
        assert await rows(store, *FIELDS) == expected("slurm-0", new=True)
        assert await usage(store) == USED


async def test_one_of_two_sites_on_shards(tmp_path: Path, shards: Shards) -> None:
    database = new_sharded_database(shards)
    coordinator = shards.coordinator
    for path, site in ((make_old(tmp_path / "old.db", "os-0"), "old"), (make_new(tmp_path / "new.db"), "new")):
        fed(coordinator, database, path, PARIS, site, user="ceems_feeder", password=FEEDER)
    store = PostgresStore(coordinator.url(database, "ceems_reader"), READER, "ceems")
    try:
        assert await rows(store, *FIELDS) == [*expected("os-0", new=False), *expected("slurm-0", new=True)]
        assert await usage(store) == USED
        await check_filters(store)
    finally:
        await store.close()
