"""Many clients send small and heavy queries to the real plugin process, next to a writer that never rests.

    python -m tests.load.mix [DATABASE] [--seconds 600] [--clients 32] [--slower 1] [--strict]

A quarter of the clients send heavy queries, the others small ones, all with pauses like those of people. Another client
queries the writer's ledger, which reveals torn and stale rows. ``--strict`` also fails if queries or the writer took
too long (see `Report.faults`), which depends on the machine.
"""

import argparse
import asyncio
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from ceems_grpc.demo.database import write_demo_database
from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.load.report import MEMORY_INTERVAL, Report
from tests.load.writer import Commit, Ledger
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame

DAY = 86_400_000  # ms, as Grafana's times are
_HEAVY_PAUSE, _SMALL_PAUSE = 0.5, 0.3  # seconds, the means
_SAMPLES_PER_LINE = int(600 / MEMORY_INTERVAL)  # a line every ten minutes
PATIENCE = 600.0  # seconds; `Report.faults` judges how long queries may take, which depends on the machine


@dataclass(frozen=True)
class Question:
    """A panel's query; ``days`` is the length of its window in days."""

    name: str
    login: str
    model: dict[str, Any]
    days: float


def small_questions(user: str) -> list[Question]:
    """Return the queries of a user's dashboard over the last day."""
    return [
        Question("own units, a day", user, {"queryType": "units"}, 1),
        Question("own usage, a day", user, {"queryType": "usage"}, 1),
        Question("own stats, a day", user, {"queryType": "stats"}, 1),
        Question("projects", user, {"queryType": "projects"}, 1),
    ]


def heavy_questions() -> list[Question]:
    """Return the queries of an administrator's dashboard over a year and a month."""
    return [
        Question("usage of all, 365 days", "admin", {"queryType": "usage", "admin": True}, 365),
        Question("units of all, 30 days", "admin", {"queryType": "units", "admin": True}, 30),
    ]


class Load:
    """A run of all clients against one plugin process."""

    def __init__(
        self,
        ceems: CeemsPlugin,
        seed: int = 1,
        enough: Callable[[Report], bool] = lambda _: True,
        slower: float = 1.0,
    ) -> None:
        self._ceems = ceems
        self._enough = enough
        self._slower = slower
        self._random = random.Random(seed)
        self._ends = 0.0
        self.report = Report()

    async def run(self, user: str, clients: int, seconds: float, *, ledger: bool) -> None:
        """Query for a given time, and until the load was enough; everything but answers is an error in the report."""
        self._ends = time.monotonic() + seconds
        heavy = max(clients // 4, 1)
        tasks = [self._client(heavy_questions(), self.report.heavy, _HEAVY_PAUSE) for _ in range(heavy)]
        tasks += [self._client(small_questions(user), self.report.small, _SMALL_PAUSE) for _ in range(clients - heavy)]
        tasks += [self._watch_memory(), self._ask_suggestions()] + ([self._read_ledger()] if ledger else [])
        await asyncio.gather(*tasks)

    def _goes_on(self) -> bool:
        is_over = bool(self.report.errors) or self._enough(self.report)
        return time.monotonic() < self._ends + (0 if is_over else PATIENCE)

    async def _client(self, questions: list[Question], waits: list[float], pause: float) -> None:
        while self._goes_on():
            await asyncio.sleep(self._random.expovariate(1 / (pause * self._slower)))
            question = self._random.choice(questions)
            # The windows differ, so that no cached answer is measured.
            end = int(time.time() * 1000) - self._random.randrange(0, DAY // 4)
            started = time.perf_counter()
            error = await self._error_of(question, end)
            took = (time.perf_counter() - started) * 1000
            waits.append(took)
            self.report.waits.setdefault(question.name, []).append(took)
            if error:
                self.report.errors.append(f"{question.name}: {error}")

    async def _error_of(self, question: Question, end: int) -> str:
        try:
            return str((await self._query(question, end)).error)
        except grpc.aio.AioRpcError as error:
            return str(error.details())

    async def _query(self, question: Question, end: int) -> Any:
        window = (end - int(question.days * DAY), end)
        return (await self._ceems.query(question.login, {"A": question.model}, window))["A"]

    async def _ask_suggestions(self) -> None:
        while self._goes_on():
            started = time.perf_counter()
            answer = await self._ceems.resource("admin", "suggest/users", "limit=100")
            took = (time.perf_counter() - started) * 1000
            self.report.small.append(took)
            self.report.waits.setdefault("suggested users", []).append(took)
            if answer.status != 200:
                self.report.errors.append(f"suggest: {answer.status} {answer.body[:200]!r}")
            await asyncio.sleep(0.5 * self._slower)

    async def _read_ledger(self) -> None:
        """Query the ledger in several forms; each answer must come from one commit that is not older than the query."""
        models: list[dict[str, Any]] = [
            {"queryType": "units", "running": True},
            {"queryType": "usage", "fields": ["total_time_seconds", "num_units"]},
            {"queryType": "usage", "mode": "global", "fields": ["total_time_seconds", "num_units"]},
        ]
        while self._goes_on() and not self.report.commits:  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.05)
        while self._goes_on():
            for model in models:
                known = self.report.commits[-1].commit
                now = int(time.time() * 1000)
                response = await self._query(Question("ledger", Ledger.USER, model, 1), now + DAY // 24)
                if response.error:
                    self.report.errors.append(f"ledger: {response.error}")
                    continue
                self.report.ledger += 1
                self.report.errors += check_ledger(read_frame(response.frames[0]).to_pylist(), known)
            await asyncio.sleep(0.1 * self._slower)

    async def _watch_memory(self) -> None:
        while self._goes_on():
            pid = self._ceems.plugin.process.pid
            self.report.memory.append(resident(pid))
            self.report.helpers.append(sum(resident(child) for child in children(pid)))
            if len(self.report.memory) % _SAMPLES_PER_LINE == 0:
                sys.stdout.write(self.report.memory_line() + "\n")
                sys.stdout.flush()
            await asyncio.sleep(MEMORY_INTERVAL)


def check_ledger(rows: list[dict[str, Any]], known: int) -> list[str]:
    """Return what is wrong with an answer about the ledger to a query that was sent after commit number ``known``."""
    times = [(row["total_time_seconds.alloc_cputime"], row["total_time_seconds.walltime"]) for row in rows]
    cpu, wall = (sum(column) for column in zip(*times, strict=True)) if times else (0, 0)
    if wall != Ledger.UNITS * Ledger.SHARE or cpu % Ledger.UNITS:
        return [f"a torn answer: {times}"]
    if len(times) > 1 and len({time[0] for time in times}) != 1:
        return [f"units of several commits: {times}"]
    if cpu // Ledger.UNITS < known:
        return [f"a stale answer: commit {cpu // Ledger.UNITS} after commit {known}"]
    return []


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def children(pid: int) -> list[int]:
    """Return the running child processes of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, task.read_text().split())
    return found


@asynccontextmanager
async def writing(database: Path, commits: list[Commit], *, pause: float = 1.0) -> AsyncIterator[None]:
    """Run the writer's process until the block ends; its commits are added to the list as they arrive."""
    command = (sys.executable, "-m", "tests.load.writer", str(database), "--seconds", "1e9", "--pause", str(pause))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=2**20)

    async def read() -> None:
        assert process.stdout
        while line := await process.stdout.readline():
            commits.append(Commit(**json.loads(line)))

    reading = asyncio.create_task(read())
    try:
        yield
        assert process.returncode is None, "the writer ended by itself"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await reading


async def settle(ceems: CeemsPlugin, seconds: float = PATIENCE) -> None:
    """Wait until the mirror is ready, if the database is large enough for one."""
    async with asyncio.timeout(seconds):
        while '"mirror":"behind"' in (await health(ceems)).replace(" ", ""):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.2)


async def health(ceems: CeemsPlugin) -> str:
    """Return the details of the health check, JSON."""
    request = pb.CheckHealthRequest(pluginContext=ceems.asker("admin").context())
    return str((await ceems.plugin.call("Diagnostics.CheckHealth", request)).jsonDetails.decode())


async def mixed_load(
    database: Path,
    folder: Path,
    user: str,
    *,
    clients: int,
    seconds: float,
    pause: float = 1.0,
    slower: float = 1.0,
    enough: Callable[[Report], bool] = lambda _: True,
) -> Report:
    """Run clients and the writer on a database, which changes; the mirror is in the folder.

    It ends after the given seconds, or later if the load was not ``enough`` until then, as on a busy machine.
    """
    async with ceems_plugin(database, mirror={"mode": "auto", "folder": str(folder)}) as ceems:
        ceems.plugin.patience = PATIENCE
        await settle(ceems)
        load = Load(ceems, enough=enough, slower=slower)
        if not pause:
            await load.run(user, clients, seconds, ledger=False)
            return load.report
        async with writing(database, load.report.commits, pause=pause):
            await load.run(user, clients, seconds, ledger=True)
    return load.report


def make_database(path: Path, units: int) -> str:
    """Make a database of a year, and return the login of a typical user, who has some units a day."""
    write_demo_database(path, units=units, days=365, users=200)
    return some_user(path)


def some_user(path: Path) -> str:
    """Return the user with the median number of units."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        users = connection.execute("SELECT username FROM usage GROUP BY username ORDER BY sum(num_units)").fetchall()
    return str(users[len(users) // 2][0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path, nargs="?", help="copied; without one, 100,000 units are made up")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--slower", type=float, default=1.0, help="clients pause so many times longer")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two updates of the writer; 0: none")
    parser.add_argument("--strict", action="store_true", help="fail also beyond limits that depend on the machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "ceems.db")
        if options.database:
            shutil.copy(options.database, database)
            user = some_user(database)
        else:
            user = make_database(database, 100_000)
        report = asyncio.run(
            mixed_load(
                database,
                Path(folder, "mirror"),
                user,
                clients=options.clients,
                seconds=options.seconds,
                pause=options.pause,
                slower=options.slower,
            )
        )
    faults = report.faults(timed=options.strict)
    sys.stdout.write("\n".join([*report.lines(), *(faults[:20] or ["all as it should be"])]) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
