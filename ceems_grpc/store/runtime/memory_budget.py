"""The memory that the process may use, and what each request takes of it.

DuckDB, caches and small questions have fixed shares of the limit. A request claims what it takes beyond that: a share
before a large question starts, then the measured cost of its rows, and of its answer until it has been sent. A claim
that does not fit is refused. Two sums are compared with the limit: all shares and claims, and the memory that the
process really uses together with the new part of the claim, because an estimate can be too low.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from weakref import WeakKeyDictionary

from prometheus_client import Counter, Gauge

from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.runtime.host_memory import default_limit, own_memory
from ceems_grpc.store.runtime.query_trace import waiting

MEBIBYTE = 1024 * 1024
LEAST_LIMIT = 384 * MEBIBYTE
"""The smallest limit, in which one large question fits beside everything else."""
UNCLAIMED = MEBIBYTE
"""Bytes up to which a request claims nothing; the share of small questions covers it."""

# The following were measured on a database of a million units, as the growth of resident memory (see performance.md).
_LIBRARIES = 144 * MEBIBYTE  # a process that has loaded its libraries and answered nothing
_SMALL = 32 * MEBIBYTE  # small questions and waiting requests
_LARGE = 64 * MEBIBYTE  # a large question, before the size of its answer is known
_ROW_TEXTS, _ROW_CELL = 1.2, 80  # a row of Python objects and its part of a table: by its texts and by its cells
_FETCHED = 2.5  # an Arrow table and its sorted copy
_ANSWERED = 4.5  # an Arrow table, its frame, the encoded frame, the message and gRPC's copy of it
_SERIES_CELL = 96  # a cell of a time series, its encoded form and the copies of this
_REQUEST = 8  # the text of a query, and what is decoded from it

_MOST_MIRROR, _LEAST_MIRROR = 128 * MEBIBYTE, 32 * MEBIBYTE
_MOST_CACHE = 32 * MEBIBYTE
_PATIENCE = 10.0  # seconds that a large question waits for memory
_LOOK = 0.05  # seconds between two looks while a question waits

_LIMIT = Gauge("ceems_memory_limit_bytes", "Memory that the process may use")
_CLAIMED = Gauge("ceems_memory_claimed_bytes", "Memory that requests have claimed")
_REFUSED = Counter("ceems_memory_refused", "Questions refused because memory was short")

_REFUSAL = (
    "The memory for answers is used up (memoryLimit): ask again in a moment, "
    "or choose a shorter time range, fewer fields, or a limit."
)


@dataclass(frozen=True, slots=True)
class _Member:
    limit: int | None
    mirrors: int


class MemoryBudget:
    """The budget of a process. All sizes are bytes. Claims may be made in any thread."""

    def __init__(self, limit: int, *, used: Callable[[], int] = own_memory, patience: float = _PATIENCE) -> None:
        """Begin without claims. ``used``: returns the memory of the process. ``patience``: seconds to wait for it."""
        self._default = max(limit, LEAST_LIMIT)
        self._members: WeakKeyDictionary[object, _Member] = WeakKeyDictionary()
        self._used = used
        self._patience = patience
        self._claimed = 0
        self._lock = Lock()
        self._count()

    @property
    def limit(self) -> int:
        """The limit that applies: the smallest one that a data source sets, otherwise the default."""
        return self._limit

    def join(self, owner: object, limit: int | None, mirrors: int) -> None:
        """Count a data source until `leave`. ``limit``: its setting. ``mirrors``: how many mirrors it may have."""
        self._members[owner] = _Member(limit, mirrors)
        self._count()

    def leave(self, owner: object) -> None:
        """Stop counting a data source."""
        self._members.pop(owner, None)
        self._count()

    @property
    def mirror_share(self) -> int:
        """The memory of DuckDB for one mirror."""
        return max(min(_MOST_MIRROR, self._limit // 4 // max(self._mirrors, 1)), _LEAST_MIRROR)

    @property
    def cache_share(self) -> int:
        """The memory of the usage answers that one data source caches."""
        return min(_MOST_CACHE, self._limit // 16 // max(len(self._members), 1))

    def claim(self) -> "Claim":
        """Return an empty claim for a request."""
        return Claim(self)

    @asynccontextmanager
    async def large_question(self) -> AsyncIterator[None]:
        """Claim memory for a large question, which may wait. Raises `StoreBusyError` if it does not become free."""
        outer = _current.get()
        claim = outer or self.claim()
        token = None if outer else _current.set(claim)
        try:
            await self._begin(claim)
            try:
                yield
            finally:
                claim.end()
        finally:
            if token:
                _current.reset(token)
                claim.release()

    async def _begin(self, claim: "Claim") -> None:
        if claim.try_begin():
            return
        end = time.monotonic() + self._patience
        with waiting():
            while not claim.try_begin():
                if time.monotonic() >= end:
                    raise refusal()
                await asyncio.sleep(_LOOK)

    def try_claim(self, size: int) -> bool:
        """Add to what is claimed, if it fits. A negative size always fits."""
        is_real = size <= 0 or self._used() + size <= self._limit
        with self._lock:
            # If nothing is claimed, only memory that is really used counts: shares alone must not refuse everything.
            if size > 0 and not (is_real and (not self._claimed or self._shares + self._claimed + size <= self._limit)):
                return False
            self._claimed += size
        _CLAIMED.inc(size)
        return True

    @property
    def _mirrors(self) -> int:
        return sum(member.mirrors for member in self._members.values())

    def _count(self) -> None:
        members = list(self._members.values())
        limits = [member.limit for member in members if member.limit is not None]
        self._limit = max(min(limits), LEAST_LIMIT) if limits else self._default
        caches = len(members) * self.cache_share
        self._shares = _LIBRARIES + _SMALL + self._mirrors * self.mirror_share + caches
        _LIMIT.set(self._limit)


class Claim:
    """What one request takes: the largest of its steps, and at least a share for each large question that runs.

    The claim lasts until `release`, and until its large questions have ended: several requests may wait for the same
    question. A released claim is not claimed again.
    """

    __slots__ = ("_budget", "_claimed", "_is_released", "_lock", "_needed", "_running")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._claimed = self._needed = self._running = 0
        self._is_released = False
        self._lock = Lock()

    def adopt(self) -> None:
        """Make this the claim of the running task and of the tasks and threads that it starts from now on."""
        _current.set(self)

    def need(self, size: float) -> None:
        """Claim as much as a step needs. Raises `StoreBusyError` if it does not fit."""
        with self._lock:
            if size > self._needed and not self._change(int(size), self._running):
                raise refusal()

    def try_begin(self) -> bool:
        """Claim the share of one more large question, if it fits."""
        with self._lock:
            return self._change(self._needed, self._running + 1)

    def end(self) -> None:
        """Give back the share of a large question."""
        with self._lock:
            self._change(self._needed, self._running - 1)

    def release(self) -> None:
        """Give everything back: the answer has been sent, or the request was given up."""
        with self._lock:
            self._is_released = True
            self._change(self._needed, self._running)

    def _change(self, needed: int, running: int) -> bool:
        size = 0 if self._is_released and not running else max(needed, running * _LARGE)
        if size != self._claimed and not self._budget.try_claim(size - self._claimed):
            return False
        self._needed, self._running, self._claimed = needed, running, size
        return True


_current: ContextVar[Claim | None] = ContextVar("memory_claim", default=None)


def refusal() -> StoreBusyError:
    """Return the error for a question that does not fit into memory, and count it."""
    _REFUSED.inc()
    return StoreBusyError(_REFUSAL)


def claim_rows(texts: int, cells: int) -> None:
    """Claim the memory of rows of Python objects. ``texts``: bytes of their texts. Raises `StoreBusyError`."""
    _need(_ROW_TEXTS * texts + _ROW_CELL * cells)


def claim_fetched(size: int) -> None:
    """Claim the memory of Arrow tables that an engine returns. Raises `StoreBusyError`."""
    _need(_FETCHED * size)


def claim_answer(size: int) -> None:
    """Claim the memory of an Arrow table until it has been sent. Raises `StoreBusyError`."""
    _need(_ANSWERED * size)


def claim_series(cells: int) -> None:
    """Claim the memory of time series until they have been sent. Raises `StoreBusyError`."""
    _need(_SERIES_CELL * cells)


def claim_buffer(size: int) -> None:
    """Claim the memory of a buffer. Raises `StoreBusyError`."""
    _need(size)


def claim_request(size: int) -> None:
    """Claim the memory of a query while it waits and runs. ``size``: bytes of its text. Raises `StoreBusyError`."""
    _need(_REQUEST * size)


def _need(size: float) -> None:
    if size <= UNCLAIMED:
        return
    claim = _current.get()
    if claim is None:
        claim = BUDGET.claim()  # nobody holds the memory for longer: only check that it fits
        claim.need(size)
        claim.release()
    else:
        claim.need(size)


BUDGET = MemoryBudget(default_limit(Path("/")))
