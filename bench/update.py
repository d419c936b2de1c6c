"""How long the mirror takes to follow a normal update: some 2,000 units, and the totals that they touch."""

import shutil
import time
from contextlib import closing
from pathlib import Path

from bench.measure import Timing
from bench.questions import ZONE
from ceems_grpc.store.duckdb.follower import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore, MirrorReader
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.load.writer import Writer

UNITS = 2_000
_WARM_UP = 6  # updates after which as many units run as an update is to write


async def measure_updates(database: Path, folder: Path, repeats: int) -> tuple[float, Timing]:
    """Follow so many updates of a copy; return the seconds in which its mirror was made, and how long each took.

    Measured from the end of the writer's commit until a question is answered from the mirror.
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
