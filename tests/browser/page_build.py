"""Builds the page of frontend/browser, with the plugin's frontend, once for all test processes."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

FRONTEND = ROOT / "frontend"
OUTPUT = ROOT / "build" / "browser"


def built_page() -> Path:
    """Return the folder of the page, rebuilt if a source is newer; skips the test if Node's modules are missing."""
    webpack = FRONTEND / "node_modules" / ".bin" / "webpack"
    if not webpack.exists() or shutil.which("node") is None:
        pytest.skip("the editors were not tried in a browser: no frontend/node_modules (make frontend installs them)")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    stamp = OUTPUT / ".built"
    with (OUTPUT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.stat().st_mtime < max(source.stat().st_mtime for source in _sources()):
            started = time.time()
            _build(webpack)
            stamp.touch()
            # A source that changes during the build counts as newer than the build.
            os.utime(stamp, (started, started))
    return OUTPUT


def _build(webpack: Path) -> None:
    command = [str(webpack), "--config", "browser/webpack.config.js"]
    done = subprocess.run(command, cwd=FRONTEND, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the page could not be built:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")


def _sources() -> Iterator[Path]:
    for folder in ("src", "browser", "build"):
        yield from (path for path in (FRONTEND / folder).rglob("*") if path.is_file())
    yield from (FRONTEND / "webpack.config.js", FRONTEND / "package-lock.json", ROOT / "plugin.json")
