"""Running works concurrently."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any


async def run_all(works: Iterable[Awaitable[Any]]) -> list[Any]:
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
