"""Changes the settings of a data source very often, queries in between, and reports what the process does not release.

python -m tests.faults.settings [--changes 10000]
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.faults.checked_plugin import make_pristine, series
from tests.load.mix import resident
from tests.support.plugin.ceems import COMMAND
from tests.support.plugin.process import Asker, Plugin, running

_PARTS = 5  # the process is measured after each part of the changes
_AT_ONCE = 4
_CALM = 10  # measurements per second
_LOOKS = 100
# The memory that allocators keep varies; a leak of 2 KiB in each of 10,000 changes exceeds it.
_MEMORY = 16 * 1024 * 1024
# Thread pools fill gradually; a leak of one thread per change is far more.
_MARGINS = {"files": 4, "threads": 8, "series": 4}


@dataclass(frozen=True)
class Held:
    """The resources of a process: open files, threads, resident bytes, series of metrics."""

    files: int
    threads: int
    memory: int
    series: int


async def change_settings(plugin: Plugin, database: Path, folder: Path | None, *, changes: int) -> list[str]:
    """Change the settings a number of times; return what is wrong: errors as answers, and resources that grew."""
    wrong: list[str] = []
    held: list[Held] = []
    version = 0
    for _ in range(_PARTS):
        for _ in range(max(changes // _PARTS // _AT_ONCE, 1)):
            versions = range(version, version + _AT_ONCE)
            version += _AT_ONCE
            answers = await asyncio.gather(*(_ask(plugin, database, folder, number) for number in versions))
            wrong += [answer for answer in answers if answer]
        held.append(await _settled(plugin))
    # The first part fills caches and pools; a single measurement may be a little above or below the usual value.
    early, late = held[1:3], held[-2:]
    for what, margin in _MARGINS.items():
        if min(getattr(one, what) for one in late) > max(getattr(one, what) for one in early) + margin:
            wrong.append(f"{what} grew: {[getattr(one, what) for one in held]}")
    if statistics.median(one.memory for one in late) > statistics.median(one.memory for one in early) + _MEMORY:
        wrong.append(f"memory grew: {[one.memory for one in held]}")
    return list(dict.fromkeys(wrong))


async def _ask(plugin: Plugin, database: Path, folder: Path | None, version: int) -> str:
    """Query with the settings of a version; return the error, or an empty text."""
    mirror = {"mode": "off"} if folder is None else {"folder": str(folder)}
    settings: dict[str, Any] = {"path": str(database), "rowLimit": 1000 + version, "mirror": mirror}
    asker = Asker(login="admin", uid="ceems", json_data=settings, updated_ms=1_700_000_000_000 + version * 1000)
    answer = (await plugin.call("Data.QueryData", asker.queries(A={"queryType": "projects"}))).responses["A"]
    return str(answer.error)


async def _settled(plugin: Plugin) -> Held:
    """Measure when the replaced objects have been closed: when nothing has decreased for a second.

    The last measurement counts, not the lowest: between the threads of the old and of the new object, there may be few.
    """
    pid = plugin.process.pid
    found = await _held(plugin, pid)
    calm = 0
    for _ in range(_LOOKS):
        await asyncio.sleep(0.1)
        before, found = found, await _held(plugin, pid)
        less = found.files < before.files or found.threads < before.threads
        calm = 0 if less else calm + 1
        if calm == _CALM:
            break
    return found


async def _held(plugin: Plugin, pid: int) -> Held:
    collected = await plugin.call("Diagnostics.CollectMetrics", pb.CollectMetricsRequest())
    text = collected.metrics.prometheus.decode()
    files, threads = (len(os.listdir(f"/proc/{pid}/{what}")) for what in ("fd", "task"))  # noqa: PTH208
    return Held(files, threads, resident(pid), len(series(text)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=10_000)
    options = parser.parse_args()

    async def run(database: Path, folder: Path) -> list[str]:
        async with running(COMMAND) as plugin:
            wrong = await change_settings(plugin, database, None, changes=options.changes)
        async with running(COMMAND) as plugin:
            return wrong + await change_settings(plugin, database, folder, changes=options.changes // 50)

    with tempfile.TemporaryDirectory() as folder:
        database = make_pristine(Path(folder, "ceems.db"), 600, mirrored=True).path
        wrong = asyncio.run(run(database, Path(folder, "mirror")))
    sys.stdout.write("\n".join(wrong or [f"{options.changes} changes of settings: nothing grew"]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
