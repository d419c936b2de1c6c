"""Blocking work in threads that stops soon after its caller is cancelled.

Every step of a question can go to a thread of its own, but each change of threads costs 0.1 to 0.2 ms. A small question
therefore runs in one thread from its first statement to the bytes of its answer: see `in_one_thread`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from threading import Event
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_CHUNK = 4_096  # items between two checks
_PAUSE = 0.02  # seconds between two interrupts

Interrupt = Callable[[], Awaitable[object] | None]
"""Makes the engine stop its current statement. It is called repeatedly, since the work may start another one."""

_cancelled: ContextVar[Event | None] = ContextVar("cancelled", default=None)


class WorkCancelledError(Exception):
    """The caller of this work was cancelled. Raised only in the thread of the work."""


class NeedsLoopError(Exception):
    """The work must wait for something that only the event loop can wait for, so it cannot run in one thread."""


class _OneThread:
    """Work that runs in one thread, and how to interrupt its current step. The event loop calls `interrupt`."""

    def __init__(self) -> None:
        self._interrupt: Interrupt | None = None

    def run(self, work: Callable[[], _Result], interrupt: Interrupt | None) -> _Result:
        check_cancelled()
        before, self._interrupt = self._interrupt, interrupt
        try:
            return work()
        finally:
            self._interrupt = before

    def interrupt(self) -> None:
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()


_one_thread: ContextVar[_OneThread | None] = ContextVar("one_thread", default=None)


def is_in_one_thread() -> bool:
    """Return whether the calling code runs within `in_one_thread`."""
    return _one_thread.get() is not None


async def in_one_thread(work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """Run a coroutine in a thread, from its start to its end, and return its result.

    Whatever it passes to `run_cancellable` runs at once, in the same thread. The coroutine must not wait for anything
    that belongs to the event loop, such as a task; if it does, `NeedsLoopError` is raised. Cancellation stops it as it
    stops blocking work.
    """
    thread = _OneThread()

    def run() -> _Result:
        _one_thread.set(thread)  # the thread has a copy of the caller's context
        coroutine = work()
        try:
            coroutine.send(None)
        except StopIteration as end:
            result: _Result = end.value
            return result
        coroutine.close()
        raise NeedsLoopError

    return await run_cancellable(run, thread.interrupt)


async def run_cancellable(
    work: Callable[[], _Result],
    interrupt: Interrupt | None = None,
    *,
    start: Callable[[Callable[[], _Result]], Awaitable[_Result]] = asyncio.to_thread,
    patience: float | None = None,
    give_up: Callable[[], None] | None = None,
) -> _Result:
    """Run blocking work in a thread and return its result.

    If the caller is cancelled, the work is stopped and `asyncio.CancelledError` is raised after the work has ended.
    Long work calls `check_cancelled`; ``interrupt`` stops the statement of an engine. ``start`` begins the work in a
    thread, with a copy of the caller's context. ``patience``: seconds after which work that does not stop is left
    alone and ``give_up`` is called; None waits until it ends.

    Within `in_one_thread` the work runs at once, in the thread of the caller.
    """
    thread = _one_thread.get()
    if thread is not None:
        return thread.run(work, interrupt)
    cancelled = Event()
    token = _cancelled.set(cancelled)
    try:
        task = asyncio.ensure_future(start(work))
    finally:
        _cancelled.reset(token)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        cancelled.set()
        stopping = asyncio.ensure_future(_stop_or_give_up(task, interrupt, patience, give_up))
        while not stopping.done():  # a second cancellation must not leave the work alone
            with suppress(asyncio.CancelledError):
                await asyncio.shield(stopping)
        raise


async def stop_tasks(
    tasks: Collection["asyncio.Future[Any]"], interrupt: Interrupt | None = None, patience: float | None = None
) -> bool:
    """Interrupt tasks until they have ended, or for ``patience`` seconds. Returns whether all have ended."""
    until = None if patience is None else time.monotonic() + patience
    while running := [task for task in tasks if not task.done()]:
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            return False
        interrupting = None if interrupt is None else interrupt()
        if interrupting is not None:
            either = [*running, asyncio.ensure_future(interrupting)]
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(running, timeout=_PAUSE)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # nobody waits for it
    return True


async def pause(seconds: float) -> None:
    """Wait for some time; within `in_one_thread`, in the thread."""
    if is_in_one_thread():
        check_cancelled()
        time.sleep(seconds)  # noqa: ASYNC251 - not in the event loop
    else:
        await asyncio.sleep(seconds)


def check_cancelled() -> None:
    """Raise `WorkCancelledError` if the caller of the work in this thread was cancelled."""
    cancelled = _cancelled.get()
    if cancelled is not None and cancelled.is_set():
        raise WorkCancelledError


def until_cancelled(items: Sequence[_Item]) -> Iterator[_Item]:
    """Yield the items; raise `WorkCancelledError` soon after the caller of the work was cancelled."""
    for begin in range(0, len(items), _CHUNK):
        check_cancelled()
        yield from items[begin : begin + _CHUNK]


async def _stop_or_give_up(
    task: "asyncio.Future[Any]",
    interrupt: Interrupt | None,
    patience: float | None,
    give_up: Callable[[], None] | None,
) -> None:
    if await stop_tasks([task], interrupt, patience):
        return
    if give_up is not None:
        give_up()
    task.cancel()  # nobody waits for it
