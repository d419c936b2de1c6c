"""The handle of one of several sources: its store, what is known of its rows, and queries with its own timeout."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from typing import Any, TypeVar

from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.plan import Distinct, Table
from ceems_grpc.store.protocols import Facts, Reader, Store
from ceems_grpc.store.runtime.query_trace import of_source

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_WITH_CLUSTERS = (Table.UNITS, Table.USAGE, Table.DAILY_USAGE, Table.USERS, Table.PROJECTS)
_SLOW = 1.0  # seconds; if a source takes longer to fail, only one question waits for its failure
_PATIENCE = 0.25  # seconds for which later questions wait for such a source, in case it answers again
_CLOSING = 5.0  # seconds for which a question waits until the reader of a source has closed


@dataclass(frozen=True, slots=True)
class Known:
    """What a source holds at a version: clusters, tables, columns and time zone.

    ``nowhere``: it also has rows without a cluster.
    """

    version: Hashable
    clusters: frozenset[str]
    nowhere: bool
    has: Callable[[Table, str | None], bool]
    new_columns: Callable[[Table], Mapping[str, bool]]
    zone: tzinfo

    @property
    def is_empty(self) -> bool:
        """Whether the source has no rows in any table with clusters."""
        return not self.clusters and not self.nowhere


class SourceHandle:
    """A named source.

    ``open_store`` makes its store when it is first needed. ``timeout`` is in seconds; None means no limit.

    After a source has not answered in time, or took long to fail, questions do not wait for it: it is checked in the
    background until it answers again.
    """

    def __init__(self, name: str, open_store: Callable[[], Store], timeout: float | None) -> None:
        self.name = name
        self.timeout = timeout
        self._open = open_store
        self._store: Store | None = None
        self._known: Known | None = None
        self._look: asyncio.Task[Known] | None = None
        self._late: StoreError | None = None
        self._up = True
        self._falls = 0
        self._left_behind: set[asyncio.Task[Any]] = set()

    @property
    def store(self) -> Store:
        """The store of the source; made on first use."""
        if self._store is None:
            self._store = self._open()
        return self._store

    @property
    def opened(self) -> Store | None:
        """The store of the source, or None if it has not been needed yet."""
        return self._store

    @property
    def falls(self) -> int:
        """How often the source has stopped answering."""
        return self._falls

    async def look(self) -> Known:
        """Return what the source holds now. Raises `StoreError` if it fails or does not answer in time."""
        look = self._look
        if look is None:
            with of_source(self.name):
                look = self._look = asyncio.create_task(self._read_known())
            look.add_done_callback(partial(self._looked, time.monotonic()))
        try:
            await asyncio.wait({look}, timeout=self.timeout if self._late is None else _PATIENCE)
            if not look.done():
                self._late = self._late or self._too_slow()
                raise type(self._late)(
                    str(self._late), self._late.detail
                )  # a new object, because this error is raised many times
            known = look.result()
        except StoreError:
            self._falls += self._up
            self._up = False
            raise
        self._up = True
        return known

    def missing(self, error: StoreError) -> Missing:
        """Describe what an answer lacks without this source, which failed with ``error``, and log it."""
        clusters = None if self._known is None else tuple(sorted(self._known.clusters))
        _log.warning("a source is left out", extra={"source": self.name, "detail": error.detail})
        return Missing(self.name, str(error), error.detail, clusters, isinstance(error, StoreBusyError))

    async def facts(self) -> Facts:
        """Describe the source. Raises `StoreError` if it fails or does not answer in time."""
        task = asyncio.create_task(self.store.facts())
        return await self.in_time(task, self.timeout)

    async def in_time(self, task: asyncio.Task[_Result], seconds: float | None) -> _Result:
        """Return the result of a task. If it takes longer, cancel it without waiting, and raise `StoreBusyError`."""
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            self.leave(task)
            raise
        if not done:
            self.leave(task)
            raise self._too_slow()
        return task.result()

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task without waiting for it: a stuck file system must not hold up a question."""
        task.cancel()
        self._left_behind.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Close the store."""
        if self._look is not None:
            self.leave(self._look)
        if self._left_behind:
            await asyncio.wait(self._left_behind, timeout=_CLOSING)
        if self._store is not None:
            await self._store.close()

    async def _read_known(self) -> Known:
        version = await self.store.version()
        if self._known is None or self._known.version != version:
            async with self.store.read() as reader:
                ids: set[str | None] = set()
                for table in _WITH_CLUSTERS:
                    if reader.has(table):
                        found = await reader.distinct(Distinct(table, ("cluster_id",)))
                        ids.update(found.column(0).to_pylist())
                clusters = frozenset(cluster for cluster in ids if cluster is not None)
                self._known = Known(version, clusters, None in ids, reader.has, reader.new_columns, reader.zone)
        return self._known

    def _looked(self, started: float, task: asyncio.Task[Known]) -> None:
        if self._look is task:
            self._look = None
        error = None if task.cancelled() else task.exception()
        slow = time.monotonic() - started >= _SLOW
        self._late = error if slow and isinstance(error, StoreError) else None

    def _too_slow(self) -> StoreBusyError:
        return StoreBusyError(f"It did not answer within {self.timeout:g} s (sourceTimeout).")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left_behind.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.info("a source ended late", extra={"source": self.name, "detail": str(task.exception())})


class Session:
    """The reader of a source for one question. It is opened on first use, in a task of its own.

    ``used``: seconds that the source has already used for this question. They count towards its timeout.
    """

    def __init__(self, source: SourceHandle, used: float = 0.0) -> None:
        self.source = source
        self._used = used
        self._holder: asyncio.Task[None] | None = None
        self._abandoned = False
        self._ready: asyncio.Future[Reader] = asyncio.get_running_loop().create_future()
        self._end: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    @property
    def is_lost(self) -> bool:
        """Whether the reader was given up because work on it failed or took too long."""
        return self._abandoned

    async def ask(self, work: Callable[[Reader], Awaitable[_Result]]) -> _Result:
        """Return the result of the work on the reader. Raises `StoreError` if it fails or takes too long."""
        started = time.monotonic()
        try:
            reader = await self._reader()
            with of_source(self.source.name):
                task = asyncio.ensure_future(_as_coroutine(work, reader))
            try:
                return await self.source.in_time(task, self._left(started))
            except StoreError:
                raise
            except Exception as error:  # a store translates an error when it leaves the block of its reader
                await self._explain(error)
                raise
        except (StoreError, asyncio.CancelledError):
            self._abandon()
            raise
        finally:
            self._used += time.monotonic() - started

    async def close(self) -> None:
        """Close the reader."""
        if self._holder is None or self._holder.done() or self._abandoned:
            return
        if not self._end.done():
            self._end.set_result(None)
        try:
            await asyncio.wait({self._holder}, timeout=_CLOSING)
        finally:
            if not self._holder.done():
                self.source.leave(self._holder)

    async def _reader(self) -> Reader:
        started = time.monotonic()
        if self._holder is None:
            with of_source(self.source.name):
                self._holder = asyncio.create_task(self._hold())
            self._holder.add_done_callback(_forget)
        try:
            either: set[asyncio.Future[Any]] = {self._holder, self._ready}
            await asyncio.wait(either, timeout=self._left(started), return_when="FIRST_COMPLETED")
        except asyncio.CancelledError:
            self._abandon()
            raise
        if self._ready.done():
            return self._ready.result()
        # The reader could not be opened, or opening it takes too long.
        await self.source.in_time(self._holder, 0)
        raise StoreError("The source ended too early; ask again.")

    async def _hold(self) -> None:
        async with self.source.store.read() as reader:
            self._ready.set_result(reader)
            error = await self._end
            if error is not None:
                raise error

    async def _explain(self, error: Exception) -> None:
        if self._holder is not None and not self._end.done():
            self._end.set_result(error)
            await self.source.in_time(self._holder, _CLOSING)

    def _abandon(self) -> None:
        self._abandoned = True
        if self._holder is not None and not self._holder.done():
            self.source.leave(self._holder)

    def _left(self, started: float) -> float | None:
        if self.source.timeout is None:
            return None
        return max(self.source.timeout - self._used - (time.monotonic() - started), 0.0)


async def _as_coroutine(work: Callable[[Reader], Awaitable[_Result]], reader: Reader) -> _Result:
    return await work(reader)


def _forget(task: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        task.exception()  # the caller has it already; otherwise asyncio logs it as never retrieved


async def first_of_all(works: Iterable[Awaitable[Any]]) -> list[Any]:
    """Run works concurrently and return their results.

    An exception in one cancels the others. All have ended when this function returns or raises.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
