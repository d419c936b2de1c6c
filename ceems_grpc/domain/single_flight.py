"""Runs equal work once when several callers ask for it at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from ceems_grpc.store.runtime.query_trace import QueryTrace, merge, trace_query

_Result = TypeVar("_Result")


class SingleFlight(Generic[_Result]):
    """Runs a piece of work once for all callers who ask for it while it runs.

    The work continues as long as a caller waits for it, and is cancelled when the last one leaves.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, tuple[asyncio.Task[_Result], list[int], QueryTrace]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return the result of the work, or raise its error. Equal keys mean equal work."""
        found = twin = self._running.get(key)
        if found is None:
            with trace_query() as trace:  # everyone who waits gets the trace of the work
                task = asyncio.ensure_future(_as_coroutine(work))
            found = self._running[key] = (task, [0], trace)
            task.add_done_callback(lambda done: self._forget(key, done))
        task, waiting, trace = found
        waiting[0] += 1
        try:
            return await asyncio.shield(task)
        finally:
            merge(trace, shared=twin is not None)
            waiting[0] -= 1
            if not waiting[0] and not task.done():
                self._forget(key, task)
                task.cancel()

    def _forget(self, key: Hashable, task: asyncio.Task[_Result]) -> None:
        found = self._running.get(key)
        if found is not None and found[0] is task:
            del self._running[key]
        if task.done() and not task.cancelled():
            task.exception()  # callers have the error; without this, asyncio logs it as never retrieved


async def _as_coroutine(work: Callable[[], Awaitable[_Result]]) -> _Result:
    return await work()
