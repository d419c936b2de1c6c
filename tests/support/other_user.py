"""Opens a database as another user: a child process that runs as user nobody and reports the result."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.places import ROOT

NOBODY = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# Imports come before the change of user (some happen in a first call), since nobody may be unable to read the modules.
# Only the effective ids change, as in a process that was started with other rights than its user's.
_CHILD = """
import _strptime, asyncio, json, os, sys
from pathlib import Path
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.sqlite.store import SqliteStore

async def look(path):
    store = SqliteStore(path, busy_timeout=0.1)
    try:
        return {"units": (await store.facts()).units}
    except StoreError as error:
        return {"error": type(error).__name__, "message": str(error), "detail": error.detail}
    finally:
        await store.close()

asyncio.run(look(Path(sys.argv[0]).parent / "does-not-exist"))
os.setgroups([])
os.setegid(int(sys.argv[2]))
os.seteuid(int(sys.argv[2]))
print(json.dumps(asyncio.run(look(Path(sys.argv[1])))))
"""


@dataclass(frozen=True)
class Outcome:
    """The result for user nobody: a number of units, or an error."""

    units: int | None = None
    error: str = ""
    message: str = ""
    detail: str = ""


def open_as_nobody(path: Path) -> Outcome:
    """Open the database at the path as user nobody."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(path), str(NOBODY)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return Outcome(**json.loads(done.stdout))
