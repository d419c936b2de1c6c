"""Headless Chromium, driven over a pipe with the Chrome DevTools Protocol (chromedevtools.github.io/devtools-protocol).

Chromium itself is enough: no driver, no library, no port to which others could connect.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 20.0
"""Timeout in seconds, long enough for a busy machine."""

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--mute-audio", "--hide-scrollbars", "--lang=en", "--remote-debugging-pipe"),
)
# Chromium reads commands from descriptor 3 and writes answers to 4.
_ON_THE_PIPE = 'exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2'


def find_chromium() -> str | None:
    """Return the path of the browser: CHROMIUM in the environment, or a usual name in PATH; None if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)


class Chromium:
    """A running browser. Commands are sent one by one; events are delivered while a command awaits its answer."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._received = bytearray()
        self._last = 0
        self._listeners: dict[str, list[Callable[[str, dict[str, Any]], None]]] = defaultdict(list)

    def listen(self, session: str, listener: Callable[[str, dict[str, Any]], None]) -> None:
        """Call `listener` with the name and parameters of each event of a session."""
        self._listeners[session].append(listener)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; raises RuntimeError with Chromium's message."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            for listener in self._listeners[answer.get("sessionId", "")]:
                listener(answer["method"], answer["params"])
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        end = time.monotonic() + PATIENCE
        while (at := self._received.find(0)) < 0:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._process.stdout.fileno(), 1 << 20) if ready else b""
            if not data:
                raise RuntimeError("Chromium does not answer" if not ready else "Chromium has ended")
            self._received += data
        message: dict[str, Any] = json.loads(self._received[:at])
        del self._received[: at + 1]
        return message


@contextmanager
def running_chromium(program: str, folder: Path) -> Iterator[Chromium]:
    """Run a browser until the block ends, with a new profile in `folder` and its log next to it."""
    profile = folder / "profile"
    with (
        (folder / "chromium.log").open("wb") as log,
        subprocess.Popen(
            ["/bin/sh", "-c", _ON_THE_PIPE, program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            # Chromium also writes outside the profile, below its user's home.
            env={**os.environ, "HOME": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
        ) as process,
    ):
        try:
            yield Chromium(process)
        finally:
            process.terminate()
    # Its child processes may still write for a moment.
    shutil.rmtree(profile, ignore_errors=True)
