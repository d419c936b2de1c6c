"""Blocking work in threads that stops soon after its caller is cancelled."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextvars import ContextVar
from threading import Event
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_CHUNK = 4_096  # items between two checks
_PAUSE = 0.02  # seconds between two interrupts

Interrupt = Callable[[], Awaitable[object] | None]
"""Makes the engine stop what it runs now. It is called repeatedly, since work may go on with a next statement."""

_cancelled: ContextVar[Event | None] = ContextVar("cancelled", default=None)


class WorkCancelledError(Exception):
    """The caller of this work was cancelled. Raised only in the thread of the work."""


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
    """
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
        await asyncio.shield(_stop_or_give_up(task, interrupt, patience, give_up))
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
