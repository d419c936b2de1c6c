"""The reader of one of several sources, for one question."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.merged.source_handle import CLOSING, Known, SourceHandle, stop
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.query_trace import of_source

_Result = TypeVar("_Result")


class Session:
    """The reader of a source for one question. It is opened on first use, in a task of its own.

    ``used``: seconds that the source has already used for this question. They count towards its timeout.
    """

    def __init__(self, source: SourceHandle, used: float = 0.0) -> None:
        self.source = source
        self._used = used
        self._holder: asyncio.Task[None] | None = None
        self._abandoned = False
        self._works: set[asyncio.Task[Any]] = set()
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
                task = asyncio.create_task(_as_coroutine(work, reader))
            self._works.add(task)
            task.add_done_callback(self._works.discard)
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
            await asyncio.wait({self._holder}, timeout=CLOSING)
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
            try:
                error = await self._end
            finally:
                await self._stop_works()
            if error is not None:
                raise error

    async def _stop_works(self) -> None:
        """Wait for work that was left behind: closing a connection while a thread uses it can end the process."""
        works = set(self._works)
        for task in works:
            stop(task)
        if works:
            await asyncio.wait(works)

    async def _explain(self, error: Exception) -> None:
        if self._holder is not None and not self._end.done():
            self._end.set_result(error)
            await self.source.in_time(self._holder, CLOSING)

    def _abandon(self) -> None:
        self._abandoned = True
        if self._holder is not None and not self._holder.done():
            self.source.leave(self._holder)

    def _left(self, started: float) -> float | None:
        if self.source.timeout is None:
            return None
        return max(self.source.timeout - self._used - (time.monotonic() - started), 0.0)


class KnownSession(Session):
    """The reader of a source, with what the source is known to hold."""

    def __init__(self, source: SourceHandle, known: Known, used: float) -> None:
        super().__init__(source, used)
        self.known = known


async def _as_coroutine(work: Callable[[Reader], Awaitable[_Result]], reader: Reader) -> _Result:
    return await work(reader)


def _forget(task: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        task.exception()  # the caller has it already; otherwise asyncio logs it as never retrieved
