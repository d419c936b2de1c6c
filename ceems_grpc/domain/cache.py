"""A cache of usage answers. As in the CEEMS API, an answer lives for a quarter of an hour.

The key of an answer holds the user, the rounded question, the user's rights and the version of the database. A cached
answer is therefore not used after a member was removed or a row was written.
"""

import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace
from hashlib import sha256

from cachetools import TTLCache
from prometheus_client import Counter, Gauge

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.single_flight import SingleFlight
from ceems_grpc.store.runtime.query_trace import TracedStatement, mark_kept, merge, trace_query

LIFETIME = 900.0  # seconds
MOST_BYTES = 32 * 1024 * 1024
_COLUMN_BYTES = 1024  # overhead of a column (measured: 700 to 1,000), more than the values of most answers take
_LOOKUPS = Counter("ceems_usage_cache_lookups", "Look-ups in the cache of usage answers", ["result"])
_BYTES = Gauge("ceems_usage_cache_bytes", "Bytes that the kept usage answers take")


def short_key(*parts: object) -> bytes:
    """Return a key of 32 bytes for questions and rights of any length: a digest of their ``repr``."""
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()


class UsageCache:
    """Caches answers by key, up to a number of bytes. Equal questions at the same time run once."""

    def __init__(self, most_bytes: int = MOST_BYTES, timer: Callable[[], float] = time.time) -> None:
        self._timer = timer
        self._kept: TTLCache[Hashable, _Kept] = TTLCache(most_bytes, LIFETIME, timer=timer, getsizeof=_size)
        self._once: SingleFlight[Answer] = SingleFlight()
        self._reported = 0

    def keeps(self, key: Hashable) -> bool:
        """Return whether an answer is cached. Any thread may ask."""
        return key in self._kept

    async def get(self, key: Hashable, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the cached answer (valid until its ``expires``), or do the work and cache its answer.

        ``key``: a short one, since its size is not counted; see `short_key`.
        """
        found = self._kept.get(key)
        if found is not None:
            _LOOKUPS.labels("hit").inc()
            answer, statements = found
            assert answer.expires is not None  # noqa: S101 - every cached answer expires
            mark_kept(LIFETIME - (answer.expires - self._timer()), statements)
            return answer
        _LOOKUPS.labels("miss").inc()
        try:
            with trace_query() as trace:
                answer = await self._once.run(key, work)
        finally:
            merge(trace)
        entry = (replace(answer, expires=self._timer() + LIFETIME), (*trace.statements, *trace.earlier))
        if not answer.missing and _size(entry) <= self._kept.maxsize:
            self._kept[key] = entry
            self._report()
        return answer

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._report()

    def _report(self) -> None:
        size = int(self._kept.currsize)  # reading the size drops expired answers
        _BYTES.inc(size - self._reported)
        self._reported = size


_Kept = tuple[Answer, tuple[TracedStatement, ...]]  # an answer, and the statements that computed it


def _size(entry: _Kept) -> int:
    answer, statements = entry
    columns = (1 + int(answer.table.num_columns)) * _COLUMN_BYTES
    told = sum(len(statement.text) + len(repr(statement.parameters)) for statement in statements)
    return columns + int(answer.table.nbytes) + told
