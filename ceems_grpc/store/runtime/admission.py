"""The queue in front of a database: so many questions run, so many wait, and the next is refused at once.

Small and large questions have a lane each, so that a dashboard of small panels does not wait for somebody's year.
In a lane, who comes first is first; who is cancelled leaves.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from enum import StrEnum

from prometheus_client import Counter, Gauge, Histogram

from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.runtime.query_trace import waiting

_WAITING = Gauge("ceems_queue_waiting", "Questions that wait for their turn", ["lane"])
_RUNNING = Gauge("ceems_queue_running", "Questions that are being answered", ["lane"])
_WAITED = Histogram(
    "ceems_queue_wait_seconds",
    "Time that questions waited for their turn",
    ["lane"],
    buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_REFUSED = Counter("ceems_queue_refused", "Questions refused since too many waited already", ["lane"])


class Size(StrEnum):
    """How much work a question is."""

    SMALL = "small"
    LARGE = "large"


_MOST_LARGE = 4

_turn: ContextVar[Size] = ContextVar("ceems_turn", default=Size.SMALL)


def is_large() -> bool:
    """Tell whether what runs here has its turn as a large question."""
    return _turn.get() is Size.LARGE


class Lane:
    """Lets ``running`` questions of one size run at once and ``waiting`` more wait."""

    def __init__(self, size: Size, running: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(running)
        self._most_waiting = waiting
        self._most = running + waiting
        self._here = 0  # who runs or waits; not told apart, as who is given a turn goes on a little later
        self._size = size

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and keep it while the block runs. Raises `StoreBusyError` where too many wait already."""
        if self._here >= self._most:
            _REFUSED.labels(self._size).inc()
            raise StoreBusyError(_refusal(self._size, self._most_waiting))
        self._here += 1
        try:
            await self._wait()
            _RUNNING.labels(self._size).inc()
            token = _turn.set(self._size)
            try:
                yield
            finally:
                _turn.reset(token)
                _RUNNING.labels(self._size).dec()
                self._free.release()
        finally:
            self._here -= 1

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()  # without waiting
            _WAITED.labels(self._size).observe(0.0)
            return
        began = time.monotonic()
        _WAITING.labels(self._size).inc()
        try:
            with waiting():
                await self._free.acquire()
        finally:
            _WAITING.labels(self._size).dec()
            _WAITED.labels(self._size).observe(time.monotonic() - began)


def _lanes(large: int) -> dict[Size, Lane]:
    return {Size.SMALL: Lane(Size.SMALL, 8, 256), Size.LARGE: Lane(Size.LARGE, large, 64)}


class Queue:
    """The lanes of one database."""

    def __init__(self, lanes: dict[Size, Lane] | None = None) -> None:
        # A large question keeps two processors busy by itself; small ones mostly wait for each other's short steps.
        self._lanes = lanes or _lanes(min(max(_processors() // 2, 1), _MOST_LARGE))

    @classmethod
    def elsewhere(cls) -> "Queue":
        """Return a queue for databases that other hosts answer from, whose processors are not counted here."""
        return cls(_lanes(_MOST_LARGE))

    @asynccontextmanager
    async def turn(self, size: Size) -> AsyncIterator[None]:
        """Wait for a turn in the lane of that size; see `Lane.turn`."""
        async with self._lanes[size].turn():
            yield


def _refusal(size: Size, waiting: int) -> str:
    if size is Size.SMALL:
        return f"The database is busy: {waiting} questions wait for it already; ask again in a moment."
    return (
        f"The database is busy: {waiting} large questions wait for it already; "
        "ask again in a moment, or ask for a shorter window or for fewer users or projects."
    )


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
