"""The notice for administrators about values that are shown as empty because their columns may not hold them.

Counting such values means reading many rows, so they are counted in the background, at most every ten minutes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context

from ceems_grpc.store.columnar.values import unusable_values
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.protocols import Facts

_LASTS = 600.0  # seconds between two counts
_PATIENCE = 0.1  # seconds that an answer waits for the count that it has started


class UnusableValues:
    """Counts such values and keeps the result. ``clock``: returns seconds."""

    def __init__(self, facts: Callable[[], Awaitable[Facts]], clock: Callable[[], float]) -> None:
        self._facts = facts
        self._clock = clock
        self._counted: float | None = None
        self._notice: tuple[str, ...] = ()
        self._task: asyncio.Task[None] | None = None

    async def notice(self) -> tuple[str, ...]:
        """Return the sentence of the last count, or "". Start another count if the last one is too old."""
        now = self._clock()
        if self._task is None and (self._counted is None or not 0 <= now - self._counted < _LASTS):
            self._counted = now
            # In a separate context, so that its statements do not count as the question's.
            self._task = asyncio.create_task(self._count(), context=Context())
            await asyncio.wait({self._task}, timeout=_PATIENCE)
        return self._notice

    async def close(self) -> None:
        """Stop counting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _count(self) -> None:
        try:
            facts = await self._facts()
        except StoreError:
            return  # the question itself reports the error
        finally:
            self._task = None
        named = [
            (f"{source.name}: {name}", count)
            for source in facts.sources
            if source.facts
            for name, count in source.facts.unusable
        ]
        counts = (*facts.unusable, *named)
        self._notice = (f"{unusable_values(counts)}.",) if counts else ()
