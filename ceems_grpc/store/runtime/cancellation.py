"""Work in threads that ends soon after nobody waits for it any more."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from threading import Event
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_FEW = 4_096  # items, after which to look
_LOOK = 0.02  # seconds between two interruptions

_stopped: ContextVar[Event | None] = ContextVar("stopped", default=None)


class StoppedError(Exception):
    """Nobody waits for this work any more; raised in its thread only."""


async def in_thread(work: Callable[[], _Result], interrupt: Callable[[], None] | None = None) -> _Result:
    """Return what the work gets in a thread; if the caller is cancelled, make it stop, and wait until it has ended.

    Work that takes long calls `check_wanted`. ``interrupt`` is called, maybe several times, for what cannot do so.
    """
    stopped = Event()
    token = _stopped.set(stopped)
    try:
        task = asyncio.ensure_future(asyncio.to_thread(work))  # with a copy of the context
    finally:
        _stopped.reset(token)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stopped.set()
        while not task.done():
            if interrupt is not None:
                interrupt()
            await asyncio.wait([task], timeout=_LOOK)
        if not task.cancelled():
            task.exception()  # that it was stopped
        raise


def check_wanted() -> None:
    """Raise `StoppedError` if nobody waits for the work in this thread any more."""
    stopped = _stopped.get()
    if stopped is not None and stopped.is_set():
        raise StoppedError


def while_wanted(items: Sequence[_Item]) -> Iterator[_Item]:
    """Yield the items for as long as somebody waits."""
    for start in range(0, len(items), _FEW):
        check_wanted()
        yield from items[start : start + _FEW]
