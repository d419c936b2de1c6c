"""The queue in front of a database. It runs a limited number of questions, lets some more wait, and refuses the rest.

Small and large questions have separate lanes, so that a dashboard of small panels does not wait for a question about
a year. A lane is first come, first served. A question that is cancelled leaves its lane.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar

from prometheus_client import Counter, Gauge, Histogram

from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.runtime.cost import CostClass
from ceems_grpc.store.runtime.memory_budget import BUDGET
from ceems_grpc.store.runtime.query_trace import waiting

_WAITING = Gauge("ceems_queue_waiting", "Questions that wait for their turn", ["lane"])
_RUNNING = Gauge("ceems_queue_running", "Questions that are being answered", ["lane"])
_WAITED = Histogram(
    "ceems_queue_wait_seconds",
    "Time that questions waited for their turn",
    ["lane"],
    buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_REFUSED = Counter("ceems_queue_refused", "Questions refused because too many waited already", ["lane"])

_MOST_LARGE = 4

_turn: ContextVar[CostClass] = ContextVar("ceems_turn", default=CostClass.SMALL)


def is_large() -> bool:
    """Return whether the calling code runs in the turn of a large question."""
    return _turn.get() is CostClass.LARGE


class Lane:
    """Runs at most ``running`` questions of one cost class at once, and lets ``waiting`` more wait."""

    def __init__(self, cost: CostClass, running: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(running)
        self._most_waiting = waiting
        self._most = running + waiting
        self._here = 0  # running and waiting together: a task that has been woken takes its turn only a little later
        self._cost = cost

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and for memory if the cost is large. Hold both for the block.

        Raises `StoreBusyError` if too many are waiting already, or if memory does not become free.
        """
        if self._here >= self._most:
            _REFUSED.labels(self._cost).inc()
            raise StoreBusyError(_refusal(self._cost, self._most_waiting))
        self._here += 1
        try:
            await self._wait()
            try:
                async with self._memory():
                    _RUNNING.labels(self._cost).inc()
                    token = _turn.set(self._cost)
                    try:
                        yield
                    finally:
                        _turn.reset(token)
                        _RUNNING.labels(self._cost).dec()
            finally:
                self._free.release()
        finally:
            self._here -= 1

    def _memory(self) -> AbstractAsyncContextManager[None]:
        return BUDGET.large_question() if self._cost is CostClass.LARGE else nullcontext()

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()  # does not block
            _WAITED.labels(self._cost).observe(0.0)
            return
        began = time.monotonic()
        _WAITING.labels(self._cost).inc()
        try:
            with waiting():
                await self._free.acquire()
        finally:
            _WAITING.labels(self._cost).dec()
            _WAITED.labels(self._cost).observe(time.monotonic() - began)


def _lanes(large: int) -> dict[CostClass, Lane]:
    return {CostClass.SMALL: Lane(CostClass.SMALL, 8, 256), CostClass.LARGE: Lane(CostClass.LARGE, large, 64)}


class Queue:
    """The lanes of one database."""

    def __init__(self, lanes: dict[CostClass, Lane] | None = None) -> None:
        # One large question keeps two processors busy. Small ones mostly wait for each other's short steps.
        self._lanes = lanes or _lanes(min(max(_processors() // 2, 1), _MOST_LARGE))

    @classmethod
    def elsewhere(cls) -> "Queue":
        """Return a queue for databases on other hosts, which does not depend on this host's processors."""
        return cls(_lanes(_MOST_LARGE))

    @asynccontextmanager
    async def turn(self, cost: CostClass) -> AsyncIterator[None]:
        """Wait for a turn in the lane of the cost class; see `Lane.turn`."""
        async with self._lanes[cost].turn():
            yield


def _refusal(cost: CostClass, waiting: int) -> str:
    if cost is CostClass.SMALL:
        return f"The database is busy: {waiting} questions wait for it already; ask again in a moment."
    return (
        f"The database is busy: {waiting} large questions wait for it already; "
        "ask again in a moment, or ask for a shorter window or for fewer users or projects."
    )


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
