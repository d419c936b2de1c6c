"""Checks that a process is well after hostile input, and that its messages reveal nothing."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.databases import NOON
from tests.support.plugin.process import Plugin, alive
from tests.support.plugin.source import Source

WINDOW = (("from", NOON - 3600), ("to", NOON + 3600))
MILLISECONDS = ((NOON - 3600) * 1000, (NOON + 3600) * 1000)
MEBIBYTE = 1024 * 1024
# Error messages for users who are not administrators contain none of these: paths, statements, internals.
_SECRETS = re.compile(
    r"/(?:tmp|etc|proc|var|home|root|dev|usr)\b|\.py\b|\bSELECT\b|\bFROM\b|json_each|sqlite_|sqlite3|Traceback"
    r"|syntax error|no such (?:column|table):|unrecognized token|duckdb|pyarrow|msgspec|<class|unexpectedly"
)
_LONGEST = 5_000  # maximum length of an error message, in characters


def check_words(said: str, sent: str = "") -> None:
    """Check that an error message is not empty, is short, and reveals nothing beyond what the user ``sent``."""
    assert said.strip()
    assert len(said) <= _LONGEST, said[:200]
    found = _SECRETS.search(said)
    assert found is None or found[0] in sent, said


def names_in(folder: Path) -> list[str]:
    """Return the names of the entries of a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def contents(path: str) -> bytes:
    """Return the contents of a file."""
    return Path(path).read_bytes()


def peak_memory(pid: int) -> int:
    """Return the peak memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@asynccontextmanager
async def staying_well(plugin: Plugin, ceems: Source, *, growth: int = 400 * MEBIBYTE) -> AsyncIterator[None]:
    """Check after the block that the plugin runs, answers correctly, used little memory and logged no internal error.

    ``ceems`` is a source of that plugin with the people's site (`tests.support.people.write_people_site`).
    """
    await check_answers(ceems)
    before = peak_memory(plugin.process.pid)
    logged = len(plugin.standard_error)
    yield
    assert plugin.process.returncode is None
    assert alive(plugin.process.pid)
    await check_answers(ceems)
    assert peak_memory(plugin.process.pid) - before < growth
    log = bytes(plugin.standard_error[logged:]).decode(errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") :][:5000]


async def check_answers(ceems: Source) -> None:
    """Ask ordinary questions, and check the answers."""
    assert [row["uuid"] for row in await ceems.rows("ann", "units", *WINDOW)] == ["unit-ann"]
    table = await ceems.table("ann", {"queryType": "units", "fields": ["uuid"]}, MILLISECONDS)
    assert table.to_pydict() == {"uuid": ["unit-ann"]}
    assert (await ceems.get("ann", "units/admin", *WINDOW)).status == 403
