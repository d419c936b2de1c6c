"""Heavy questions of many users at once, in a process whose memory the kernel limits: the process lives.

The kernel's limit is on the data of the process (``RLIMIT_DATA``), which unlike resident memory counts whatever is
allocated, with the stacks of threads. An allocation beyond it fails, which ends the process or breaks an answer.
"""

import asyncio
import resource
from pathlib import Path
from typing import Any

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.hostile.wellness import MEBIBYTE, check_words
from tests.load.mix import PATIENCE, make_database
from tests.support.plugin.ceems import COMMAND, CeemsPlugin
from tests.support.plugin.process import alive, running

DAY = 86_400_000  # ms
UNITS = 40_000
SOURCES = 4  # each has lanes of its own
LIMIT = 384  # MiB, the setting
ADDRESSES = 640  # MiB that the process may allocate, with stacks and arenas that are never touched
HEAVY: tuple[dict[str, Any], ...] = (
    {"queryType": "units"},
    {"queryType": "usage-over-time", "groupBy": ["username"], "format": "multi"},
    {"queryType": "usage", "source": "prorated", "groupBy": ["username", "project"]},
    {"queryType": "units", "fields": ["uuid", "username", *(f"tags.k{number}" for number in range(120))]},
)


def anonymous_memory(pid: int) -> int:
    """Return the bytes that a process uses and the system cannot take back."""
    pages = list(map(int, Path(f"/proc/{pid}/statm").read_text().split()[1:3]))
    return (pages[0] - pages[1]) * resource.getpagesize()


async def test_heavy_questions_of_many_do_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "ceems.db"
    user = make_database(path, UNITS)
    now = int(path.stat().st_mtime * 1000)
    async with running(COMMAND) as plugin:
        plugin.patience = PATIENCE
        pid = plugin.process.pid
        resource.prlimit(pid, resource.RLIMIT_DATA, (ADDRESSES * MEBIBYTE, ADDRESSES * MEBIBYTE))
        settings = {"path": str(path), "memoryLimit": f"{LIMIT}MiB", "mirror": {"mode": "off"}, "queryTimeout": 0}
        sources = [CeemsPlugin(plugin, settings, uid=f"uid{number}") for number in range(SOURCES)]

        async def ask(login: str, model: dict[str, Any], end: int, days: int) -> pb.DataResponse:
            ceems = sources[end // 1000 % SOURCES]
            return (await ceems.query(login, {"A": model}, (end - days * DAY, end)))["A"]

        async def ask_heavily(number: int) -> pb.DataResponse:
            model = {**HEAVY[number % len(HEAVY)], "admin": True}
            return await ask("admin", model, now - 1000 * number, 60 if number % 3 else 400)

        heavy = [asyncio.create_task(ask_heavily(number)) for number in range(16)]
        small, most = 0, 0
        while not all(task.done() for task in heavy):
            answer = await ask(user, {"queryType": "units"}, now - 1000 * small, 1)
            assert not answer.error, answer.error
            small += 1
            most = max(most, anonymous_memory(pid))
        answers = [task.result() for task in heavy]
        refused = [answer for answer in answers if answer.error]
        print(small, len(refused), {answer.error for answer in refused}, most // MEBIBYTE)  # noqa: T201 - `pytest -s`
        assert small
        assert alive(pid)
        assert plugin.process.returncode is None
        assert refused, "the limit refused nothing"
        assert len(refused) < len(answers), refused[0].error
        for answer in refused:
            assert answer.status == 503, answer.error
            assert "memoryLimit" in answer.error, answer.error
            check_words(answer.error)
        assert most <= LIMIT * MEBIBYTE, f"{most // MEBIBYTE} MiB"
        assert not (await ask(user, {"queryType": "units"}, now, 1)).error
        log = bytes(plugin.standard_error).decode(errors="replace")
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]
