"""A question that is cancelled stops using the processor at once, whether the mirror or the file answers it.

The test measures the processor time of the plugin process, which does not depend on the load of the machine.
"""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.demo.database import write_demo_database
from tests.load.mix import PATIENCE, settle
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

DAY = 86_400  # seconds
ALLOWED = 0.25  # seconds of processor time after the cancellation; the aim is 0.1, the rest allows for noise
WATCHED = 2.0  # seconds of watching after the cancellation; work that continues uses much more than the allowed time
_TICKS = os.sysconf("SC_CLK_TCK")  # a second, of /proc/PID/stat


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of 200,000 units in a month; most are copies, which are quicker to make."""
    path = tmp_path_factory.mktemp("cancelled") / "ceems.db"
    write_demo_database(path, units=20_000, days=30, users=200)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        table = connection.execute("PRAGMA table_info(units)")
        names = ", ".join(f'"{row[1]}"' for row in table if row[1] not in {"id", "uuid"})
        connection.execute(
            f"INSERT INTO units (uuid, {names}) SELECT uuid || '-' || n.value, {names} FROM units,"
            " json_each('[1,2,3,4,5,6,7,8,9]') AS n"
        )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the mirror, which is made once."""
    return tmp_path_factory.mktemp("mirror")


@dataclass
class Heavy:
    """Sends heavy queries over a window in seconds since 1970; each has another window, since answers are cached.

    ``share``: the part of its processor time after which it is cancelled. ``days``: the length of its window; a panel
    may request a limited number of cells.
    """

    name: str
    ask: Callable[[CeemsPlugin, int, int], Awaitable[Any]]
    share: float
    mirror: bool = True
    days: int = 40


async def panels(ceems: CeemsPlugin, first: int, last: int, *models: dict[str, Any]) -> None:
    asked = {chr(ord("A") + number): {**model, "admin": True} for number, model in enumerate(models)}
    responses = await ceems.query("admin", asked, (first * 1000, last * 1000))
    assert {response.error for response in responses.values()} == {""}


async def units(ceems: CeemsPlugin, first: int, last: int) -> None:
    await panels(ceems, first, last, {"queryType": "units"})


async def units_in_four_panels(ceems: CeemsPlugin, first: int, last: int) -> None:
    # Queries with different limits are different questions, so they are not answered together.
    await panels(ceems, first, last, *({"queryType": "units", "limit": 900_000 + number} for number in range(4)))


async def hours(ceems: CeemsPlugin, first: int, last: int) -> None:
    groups: tuple[list[str], ...] = ([], ["cluster_id"])
    model = {"queryType": "usage-over-time", "step": "hour"}
    await panels(ceems, first, last, *({**model, "groupBy": group} for group in groups))


async def rows(ceems: CeemsPlugin, first: int, last: int) -> None:
    windows = (f"from={first - earlier}&to={last}" for earlier in range(2))
    answers = await asyncio.gather(*(ceems.resource("admin", "units/admin", window) for window in windows))
    assert {answer.status for answer in answers} == {200}


HEAVY = (
    Heavy("units to frames", units_in_four_panels, 0.05, days=13),
    Heavy("units to frames, late", units_in_four_panels, 0.5, days=13),
    Heavy("usage by hours", hours, 0.1),
    Heavy("units to JSON", rows, 0.1),
    Heavy("units to frames, from the file", units, 0.1, mirror=False, days=13),
    Heavy("units to frames, from the file, late", units, 0.6, mirror=False, days=13),
)


@pytest.mark.parametrize("heavy", HEAVY, ids=lambda heavy: heavy.name)
async def test_who_cancels_gets_the_processor_back(site: Path, folder: Path, heavy: Heavy) -> None:
    last = newest(site)
    first = last - heavy.days * DAY
    mirror = {"folder": str(folder)} if heavy.mirror else {"mode": "off"}
    async with ceems_plugin(site, mirror=mirror, queryTimeout=0) as ceems:
        ceems.plugin.patience = PATIENCE
        await settle(ceems)
        await heavy.ask(ceems, last - DAY // 4, last)  # what is computed once is computed now
        whole = await used_by(ceems, heavy.ask(ceems, first, last))
        used = heavy.share * whole
        assert whole - used > 2 * ALLOWED, "it is too small to tell whether it goes on"
        after = await used_after_cancelling(ceems, heavy.ask(ceems, first, last - 1), used)
        assert after <= ALLOWED, f"it used {after:.2f} s more, where it takes {whole:.2f} s in all"


def newest(site: Path) -> int:
    """Return the newest moment of the database, in seconds since 1970."""
    return int(site.stat().st_mtime)


async def used_by(ceems: CeemsPlugin, asking: Awaitable[Any]) -> float:
    """Wait for an answer; return the processor time that it took, in seconds."""
    before = processor_time(ceems)
    await asking
    return processor_time(ceems) - before


async def used_after_cancelling(ceems: CeemsPlugin, asking: Awaitable[Any], used: float) -> float:
    """Send a query, cancel it after some processor time, and return the seconds that the process used after that."""
    task = asyncio.ensure_future(asking)
    before = processor_time(ceems)
    async with asyncio.timeout(PATIENCE):
        while processor_time(ceems) - before < used:
            assert not task.done(), "it was answered before it could be cancelled"
            await asyncio.sleep(0.005)
    cancelled = processor_time(ceems)
    assert task.cancel(), "it was answered before it could be cancelled"
    with suppress(asyncio.CancelledError):
        await task
    await asyncio.sleep(WATCHED)
    return processor_time(ceems) - cancelled


def processor_time(ceems: CeemsPlugin) -> float:
    """Return the processor time of all threads of the plugin process so far, user and system, in seconds."""
    stat = Path(f"/proc/{ceems.plugin.process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS
