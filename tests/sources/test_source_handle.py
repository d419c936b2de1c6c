"""A source that hangs, in any operation, delays nobody for longer than its timeout."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.merged.session import Session
from ceems_grpc.store.merged.source_handle import SourceHandle
from ceems_grpc.store.merged.store import MergedStore
from ceems_grpc.store.plan import Aggregate, Count, Scan, Table
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable
from ceems_grpc.store.sqlite.reader import SqliteReader
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.sources.two_sites import write_north_and_south
from tests.support.databases import PARIS

COUNT = Aggregate(Table.UNITS, ("cluster_id",), (Count("n"),))
LONG = 60.0
TIMEOUT = 4.0  # long enough for the source that answers, even on a busy machine


class Stuck(SqliteStore):
    """A database on a file system that hangs at one operation, as a lost network mount does, until `let_go`."""

    def __init__(self, path: Path, place: str) -> None:
        super().__init__(path, zone=PARIS)
        self.place = place
        self.asked = 0
        self.let_go = threading.Event()

    async def hang(self, place: str) -> None:
        if place == self.place:
            self.asked += 1
            await asyncio.to_thread(self.let_go.wait, LONG)

    async def version(self) -> Any:
        await self.hang("version")
        return await super().version()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqliteReader]:
        await self.hang("open")
        async with super().read() as reader:
            yield reader
            await self.hang("close")


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Path, Path]:
    return write_north_and_south(tmp_path)


def two(sites: tuple[Path, Path], stuck: Stuck) -> MergedStore:
    north = partial(SqliteStore, sites[0], zone=PARIS)
    return MergedStore([("north", north), ("south", lambda: stuck)], timeout=TIMEOUT)


async def counts(store: MergedStore) -> tuple[dict[str, int], list[str]]:
    async with store.read() as reader:
        table = await reader.aggregate(COUNT)
        return {row["cluster_id"]: row["n"] for row in table.to_pylist()}, [m.source for m in reader.missing]


@pytest.mark.parametrize("place", ["version", "open"])
async def test_a_source_that_hangs_is_asked_just_once_until_it_is_back(sites: tuple[Path, Path], place: str) -> None:
    stuck = Stuck(sites[1], place)
    store = two(sites, stuck)
    async with asyncio.timeout(LONG / 2):
        for _ in range(5):
            assert await counts(store) == ({"slurm-n": 2}, ["south"])
        assert stuck.asked == 1  # a hanging thread is one thread less for everybody
        missing: Hashable = await store.version()
        assert await store.version() == missing
        stuck.place = ""
        stuck.let_go.set()
        while (await counts(store))[1]:
            continue
        assert await counts(store) == ({"os-s": 3, "slurm-n": 2}, [])
        assert await store.version() != missing
        await store.close()


async def test_a_source_that_hangs_while_it_is_read_is_left_behind(sites: tuple[Path, Path]) -> None:
    stuck = Stuck(sites[1], "")
    store = two(sites, stuck)
    assert await counts(store) == ({"os-s": 3, "slurm-n": 2}, [])
    async with store.read() as reader:
        await reader.aggregate(COUNT)
        stuck.place = "open"
        async with asyncio.timeout(LONG / 2):
            assert (await reader.table(Scan(Table.UNITS, ("uuid",)))).num_rows == 5  # its reader is open already
    async with asyncio.timeout(LONG / 2):
        assert await counts(store) == ({"slurm-n": 2}, ["south"])
    stuck.let_go.set()
    await store.close()


async def test_a_question_that_is_cancelled_leaves_nothing_behind(sites: tuple[Path, Path]) -> None:
    stuck = Stuck(sites[1], "")
    store = two(sites, stuck)
    await counts(store)
    asked = [asyncio.create_task(counts(store)) for _ in range(4)]
    await asyncio.sleep(0)
    for task in asked:
        task.cancel()
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended)
    assert await counts(store) == ({"os-s": 3, "slurm-n": 2}, [])
    await store.close()
    assert len(asyncio.all_tasks()) == 1


class Noting(SqliteStore):
    """A database that notes when its reader is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, zone=PARIS)
        self.events: list[str] = []

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqliteReader]:
        async with super().read() as reader:
            try:
                yield reader
            finally:
                self.events.append("closed")


@pytest.mark.parametrize("ending", ["cancelled", "too slow"])
async def test_a_reader_is_closed_only_after_the_work_on_it_has_ended(sites: tuple[Path, Path], ending: str) -> None:
    store = Noting(sites[0])
    source = SourceHandle("north", lambda: store, 0.1 if ending == "too slow" else None)
    session = Session(source)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def block() -> None:
        loop.call_soon_threadsafe(started.set)
        time.sleep(0.5)  # a statement that does not stop at once
        store.events.append("ended")

    async def work(reader: Reader) -> None:
        await run_cancellable(block)

    asked = asyncio.create_task(session.ask(work))
    await started.wait()
    if ending == "cancelled":
        asked.cancel()
    with pytest.raises(asyncio.CancelledError if ending == "cancelled" else StoreBusyError):
        await asked
    await source.close()
    assert store.events == ["ended", "closed"]


async def test_time_that_the_asker_takes_is_not_the_sources(sites: tuple[Path, Path]) -> None:
    store = two(sites, Stuck(sites[1], ""))
    async with store.read() as reader:
        await reader.aggregate(COUNT)
        await asyncio.sleep(1.1 * TIMEOUT)
        await reader.aggregate(COUNT)
        assert reader.missing == ()
    await store.close()
