"""Waits for other processes, and fails if they take too long."""

import asyncio
from collections.abc import Awaitable, Callable

_PATIENCE = 60.0  # seconds; long enough for a busy machine


async def until(condition: Callable[[], bool], seconds: float = _PATIENCE) -> None:
    """Wait until a condition outside this process holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing signals the change
            await asyncio.sleep(0.01)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = _PATIENCE) -> None:
    """Wait until a coroutine function returns true."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - nothing signals the change
            await asyncio.sleep(0.02)
