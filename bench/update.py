"""Measures how long the mirror takes to follow a typical update: about 2,000 units, and the totals they change."""

import shutil
import time
from contextlib import closing
from pathlib import Path

from bench.measure import Timing
from bench.questions import ZONE
from ceems_grpc.store.duckdb.reader import MirrorReader
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.load.writer import Writer

UNITS = 2_000
_WARM_UP = 6  # updates until the number of running units is what an update should write


async def measure_updates(database: Path, folder: Path, repeats: int) -> tuple[float, Timing]:
    """Follow this many updates of a copy; return the seconds that its mirror took to build, and each update's duration.

    A duration is measured from the end of the writer's commit until the mirror answers a query.
    """
    copy = folder / "update.db"
    shutil.copy(database, copy)
    store = MirroredStore(SqliteStore(copy, zone=ZONE), MirrorSettings(folders=(folder,), interval=3600))
    timing = Timing()
    try:
        started = time.perf_counter()
        await store.settled()
        filled = time.perf_counter() - started
        with closing(Writer(copy)) as writer:
            for number in range(_WARM_UP + repeats):
                writer.update(UNITS)
                started = time.perf_counter()
                async with store.read() as reader:
                    if not isinstance(reader, MirrorReader):
                        raise RuntimeError("the mirror did not follow")
                if number >= _WARM_UP:
                    timing.milliseconds.append((time.perf_counter() - started) * 1000)
    finally:
        await store.close()
        shutil.rmtree(folder)
    return filled, timing
