"""Columns that `ceems_grpc.schema` does not describe, in one of two sources and in a source on another host."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ceems_grpc.domain.questions.model import Filter, Selection, UnitsQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.merged.store import MergedStore
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.store import RemoteStore
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.store.new_columns import POWER, make_new, make_old
from tests.support.bridge_servers import Files, serving
from tests.support.databases import PARIS, SUMMER
from tests.support.postgres.servers import Server
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
FIELDS = ("cluster_id", "uuid", *KEYS, "labels.a.b/c", "queue", "nodes")


async def rows(store: Store, *fields: str, **more: Any) -> list[dict[str, Any]]:
    answer = await Ceems(store).units(ANN, UnitsQuestion(SPAN, fields=fields, **more))
    assert answer.warnings == ()
    found: list[dict[str, Any]] = answer.table.to_pylist()
    return found


def expected(cluster: str, *, new: bool) -> list[dict[str, Any]]:
    """Return the rows of the three units of a file; see `tests.store.new_columns`."""
    values: dict[str, tuple[Any, ...]] = {
        "1": (1.0, 10.0, 5.0, 300.0, "x", "gpu", "4"),
        "2": (2.5, 40.0, 2.0, 100.0, "y", "cpu", "12"),
    }
    return [
        dict(zip(FIELDS, (cluster, uuid, *(values.get(uuid, (None,) * 7) if new else (None,) * 7)), strict=True))
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
async def remote(folder: Path) -> AsyncIterator[RemoteStore]:
    keys = Files(folder)
    path = make_new(folder / "new.db")
    arguments = ["--database", str(path), *keys.tls, *keys.tokens, "--timezone", "Europe/Paris"]
    async with serving(*arguments) as server:
        endpoint = Endpoint(f"localhost:{server.port}", token=keys.token, ca_cert=keys.authority.certificate)
        store = RemoteStore(endpoint)
        try:
            yield store
        finally:
            await store.close()


async def test_a_source_on_another_host(tmp_path: Path) -> None:
    async with remote(tmp_path) as store:
        assert await rows(store, *FIELDS) == expected("slurm-0", new=True)
        assert await usage(store) == USED
        selection = Selection(filters=(Filter("labels.a.b/c", "=", ("y",)),))
        assert await rows(store, "uuid", selection=selection) == [{"uuid": "2"}]


async def test_postgresql(tmp_path: Path, server: Server, empty_database: str) -> None:
    fed(server, empty_database, make_new(tmp_path / "new.db"), PARIS)
    async with opened_postgres(server, empty_database) as store:
        assert await rows(store, *FIELDS) == expected("slurm-0", new=True)
        assert await usage(store) == USED
        for key, value, uuids in (("queue", "gpu", "1"), (KEYS[3], "100", "2")):
            selection = Selection(filters=(Filter(key, "=", (value,)),))
            assert "".join(row["uuid"] for row in await rows(store, "uuid", selection=selection)) == uuids
