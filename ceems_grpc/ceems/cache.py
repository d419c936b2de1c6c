"""Answers about usage, kept for a quarter of an hour as the CEEMS API keeps them.

A kept answer is given again only to the same user, for the same rounded question, with the same rights, and while the
database is the same: a member who was removed, or a row that was written, makes another key.
"""

import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace

from cachetools import TTLCache
from prometheus_client import Counter, Gauge

from ceems_grpc.ceems.answer import Answer
from ceems_grpc.ceems.once import Once

LIFETIME = 900.0  # seconds
MOST_BYTES = 64 * 1024 * 1024
_LOOKUPS = Counter("ceems_usage_cache_lookups", "Look-ups in the cache of usage answers", ["result"])
_BYTES = Gauge("ceems_usage_cache_bytes", "Bytes of Arrow data in the caches of usage answers")


class UsageCache:
    """Keeps answers by key, up to a number of bytes; equal questions that run at the same time run once."""

    def __init__(self, most_bytes: int = MOST_BYTES, timer: Callable[[], float] = time.time) -> None:
        self._timer = timer
        self._kept: TTLCache[Hashable, Answer] = TTLCache(most_bytes, LIFETIME, timer=timer, getsizeof=_size)
        self._once: Once[Answer] = Once()
        self._reported = 0

    async def get(self, key: Hashable, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the kept answer (``expires`` says until when it is kept), or do the work and keep its answer."""
        kept = self._kept.get(key)
        if kept is not None:
            _LOOKUPS.labels("hit").inc()
            return kept
        _LOOKUPS.labels("miss").inc()
        answer = await self._once.run(key, work)
        if _size(answer) <= self._kept.maxsize:
            self._kept[key] = replace(answer, expires=self._timer() + LIFETIME)
            self._report()
        return answer

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._report()

    def _report(self) -> None:
        size = int(self._kept.currsize)  # asking drops what has expired
        _BYTES.inc(size - self._reported)
        self._reported = size


def _size(answer: Answer) -> int:
    return 1024 + int(answer.table.nbytes)
