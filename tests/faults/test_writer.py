"""A writer that never rests and questions that always overlap, without a mirror to answer them."""

import asyncio
import sqlite3
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any

from ceems_grpc.store.plan import Distinct, Table
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.faults.checked_plugin import CheckedPlugin, checked_plugin, make_pristine
from tests.load.mix import DAY, Load, make_database, writing
from tests.load.writer import Ledger
from tests.support.plugin.process import close_pipes

_LARGE_LOG = 8 * 1024 * 1024
_SECONDS = 60.0
_WRITER = """
import sys
from pathlib import Path
from tests.load.writer import connect
connection = connect(Path(sys.argv[1]))
for statement in sys.stdin:
    connection.execute(statement)
    print("done", flush=True)
"""


async def test_the_log_starts_again_however_many_ask(tmp_path: Path) -> None:
    database = tmp_path / "ceems.db"
    user = make_database(database, 4_000)
    async with checked_plugin(database, None) as here:
        load = Load(here.ceems)
        commits = load.report.commits
        async with writing(database, commits, pause=0.05):
            # As many clients as can run at once query without pause, and some more; the ledger reveals torn and stale
            # answers.
            asking = asyncio.create_task(load.run(user, 4, _SECONDS, ledger=True))
            restless = [asyncio.create_task(_ask_without_rest(here, user, load.report.errors)) for _ in range(8)]
            try:
                largest = await _started_again(database)
            finally:
                for task in (asking, *restless):
                    task.cancel()
                await asyncio.gather(asking, *restless, return_exceptions=True)
    assert load.report.errors == []
    assert load.report.ledger > 10
    assert largest < 64 * 1024 * 1024
    assert sum(commit.refused for commit in commits) == 0, "no reader ever blocks a writer's lock"
    assert [commit.commit for commit in commits] == list(range(1, len(commits) + 1))
    with closing(sqlite3.connect(database)) as connection:
        assert Ledger.commits(connection) >= len(commits)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_questions_wait_for_a_writer_only_while_its_log_is_large(tmp_path: Path) -> None:
    database = make_pristine(tmp_path / "ceems.db", 300, mirrored=False).path
    store = SqliteStore(database)
    async with _statements(database) as run:

        async def is_let_in() -> bool:
            async with store.read() as reader:
                await reader.distinct(Distinct(Table.UNITS, ("name",)))
                return True

        await run("CREATE TABLE more (data BLOB)")
        await run("BEGIN IMMEDIATE")
        assert await is_let_in(), "the log is small"
        await run("COMMIT")
        async with store.read() as reader:
            await reader.distinct(Distinct(Table.UNITS, ("name",)))
            await run("INSERT INTO more VALUES (zeroblob(9000000))")  # this reader keeps the log from being folded
            assert _log_size(database) > _LARGE_LOG
            assert await is_let_in(), "nobody writes"
            await run("BEGIN IMMEDIATE")
            await run("UPDATE units SET name = 'new'")
            waiting = asyncio.create_task(is_let_in())
            done, _ = await asyncio.wait([waiting], timeout=0.3)
            assert not done, "a new question waits for the writer, so that the readers can leave"
        await run("COMMIT")
        assert await waiting
        await run("UPDATE units SET name = 'newer'")
        assert _log_size(database) < _LARGE_LOG // 2, "without readers at the commit, the log restarted"
    await store.close()


@asynccontextmanager
async def _statements(database: Path) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Run statements in another process, so that its locks are separate."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _WRITER, str(database)), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    sent, done = process.stdin, process.stdout

    async def run(statement: str) -> None:
        sent.write(f"{statement}\n".encode())
        assert await done.readline() == b"done\n"

    try:
        yield run
    finally:
        sent.close()
        await process.wait()
        close_pipes(process)


async def _ask_without_rest(here: CheckedPlugin, user: str, errors: list[str]) -> None:
    models: list[tuple[str, dict[str, Any], int]] = [
        (user, {"queryType": "units"}, 1),
        (user, {"queryType": "usage"}, 13),
        ("admin", {"queryType": "usage", "admin": True, "source": "daily"}, 30),
    ]
    for number in count():
        login, model, days = models[number % len(models)]
        end = int(time.time() * 1000) - number
        for answer in (await here.ceems.query(login, {"A": model}, (end - days * DAY, end))).values():
            errors += [answer.error] if answer.error else []


async def _started_again(database: Path) -> int:
    """Wait until the log has become large and then restarted; return its largest size, in bytes."""
    largest = 0
    async with asyncio.timeout(_SECONDS):
        while True:
            size = _log_size(database)
            largest = max(largest, size)
            if largest > _LARGE_LOG and size < largest // 2:
                return largest
            await asyncio.sleep(0.02)


def _log_size(database: Path) -> int:
    """Return how much of the log is in use: its file never shrinks."""
    index = database.with_name(database.name + "-shm")
    data = index.read_bytes()[:100] if index.exists() else b""
    if len(data) < 100:
        return 0
    page, frames = struct.unpack_from("=HI", data, 14)
    return int(page) * int(frames)
