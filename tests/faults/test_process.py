"""The process: killed under load and restarted, abandoned by its host, with settings that change very often."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.checked_plugin import Pristine, Refusal, checked_plugin, make_pristine, names
from tests.faults.settings import change_settings
from tests.support.places import ROOT
from tests.support.plugin.ceems import COMMAND, CeemsPlugin
from tests.support.plugin.process import ENVIRONMENT, Handshake, Plugin, alive, close_pipes, running
from tests.support.waiting import until

PARENT = """
import json, subprocess, sys
child = subprocess.Popen(json.loads(sys.argv[1]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
print(child.pid, child.stdout.readline().decode().strip(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Pristine:
    return make_pristine(tmp_path_factory.mktemp("large") / "ceems.db", 600, mirrored=True)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Return a folder for sockets; pytest's own paths may be too long for them."""
    with tempfile.TemporaryDirectory(prefix="t") as name:
        yield Path(name)


async def test_killed_under_load_and_started_again(tmp_path: Path, temporary: Path, large: Pristine) -> None:
    database, folder = large.put(tmp_path / "ceems.db"), tmp_path / "mirror"
    for mirror in (None, folder):
        for _ in range(2):
            async with checked_plugin(database, mirror, environment={"TMPDIR": str(temporary)}) as here:
                asking = [asyncio.create_task(_ask_forever(here.ask)) for _ in range(6)]
                assert await here.ask() == large.numbers, "correct from the first answer on"
                if mirror:
                    await here.mirrored()
                here.ceems.plugin.process.kill()
                await here.ceems.plugin.ended()
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
            for left in names(temporary, "*/socket"):
                os.utime(left, (0, 0))  # as if it had been left long ago
    async with checked_plugin(database, folder, environment={"TMPDIR": str(temporary)}) as here:
        await here.is_well(large)
        await here.mirrored()
        assert len(names(temporary, "*/socket")) == 1, "sockets of killed processes are removed"
        assert len(names(folder, "*.duckdb")) == 1, "killed processes hold no place"
        assert not names(folder, "*.building*")
    assert not names(temporary)


async def test_ends_with_its_host_while_it_answers(tmp_path: Path, temporary: Path, large: Pristine) -> None:
    database = large.put(tmp_path / "ceems.db")
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, json.dumps(COMMAND)),
        env={**ENVIRONMENT, "TMPDIR": str(temporary)},
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert parent.stdout
    pid, _, line = (await parent.stdout.readline()).partition(b" ")
    plugin = Plugin(parent, Handshake.parse(line))
    settings = {"path": str(database), "mirror": {"folder": str(tmp_path / "mirror")}}
    ceems = CeemsPlugin(plugin, settings)
    assert (await ceems.resource("admin", "units/admin")).status == 200
    asking = [asyncio.create_task(_ask_forever(lambda: ceems.resource("admin", "units/admin"))) for _ in range(4)]
    parent.kill()
    await parent.wait()
    await until(lambda: not alive(int(pid)))
    close_pipes(parent)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await plugin.channel.close()
    assert not names(temporary)


@pytest.mark.slow
async def test_settings_changes_leak_nothing(tmp_path: Path, large: Pristine) -> None:
    database = large.put(tmp_path / "ceems.db")
    async with running(COMMAND) as plugin:
        assert await change_settings(plugin, database, None, changes=300) == []
    async with running(COMMAND) as plugin:
        assert await change_settings(plugin, database, tmp_path / "mirror", changes=60) == []


async def _ask_forever(ask: object) -> None:
    while True:
        answer = await ask()  # type: ignore[operator]
        assert not isinstance(answer, Refusal), answer
