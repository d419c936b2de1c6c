"""The plugin, with each step of its event loop timed: ``python -m tests.support.plugin.watched FILE serve``.

A step is what the loop runs between two polls of its sockets: every request waits for it. Its time is the processor
time of the loop's thread, so that the load of the machine does not count. Long steps are appended to the file, one a
line: when it ran (monotonic clock, seconds), its length in milliseconds, and what ran.
"""

import asyncio.events
import os
import sys
import time
from typing import Any

LEAST = 0.010  # seconds

_run = asyncio.events.Handle._run


def watch(file: int) -> None:
    """Time all steps of the event loops of this process."""

    def timed(handle: Any) -> None:
        began = time.thread_time()
        _run(handle)
        took = time.thread_time() - began
        if took >= LEAST:
            what = repr(getattr(handle._callback, "__self__", handle._callback))[:600].replace("\n", " ")
            os.write(file, f"{time.monotonic():.3f} {took * 1000:.1f} {what}\n".encode())

    asyncio.events.Handle._run = timed  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    watch(os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    sys.argv = ["ceems-grpc", *sys.argv[2:]]
    from ceems_grpc.__main__ import main

    sys.exit(main())
