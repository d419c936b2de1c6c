"""Reading ahead of a slow consumer, so that a read transaction ends when the rows are read, not when they are sent."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from ceems_grpc.domain.errors import ErrorType, QuestionError

_Item = TypeVar("_Item")
_AHEAD = 16  # items
_PATIENCE = 60.0  # seconds without a taken item after which the read is abandoned


async def read_ahead(source: AsyncGenerator[_Item, None]) -> AsyncGenerator[_Item, None]:
    """Yield the items of a source, which a separate task reads up to 16 items ahead.

    A consumer that takes no item for a minute gets an error (503): a longer read would hold up the database's writer.
    """
    queue: asyncio.Queue[_Item | Exception | None] = asyncio.Queue(_AHEAD)

    def hand_over(error: Exception) -> None:
        if queue.full():
            queue.get_nowait()  # the consumer gets the error instead of this item
        queue.put_nowait(error)

    async def run() -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    async with asyncio.timeout(_PATIENCE):
                        await queue.put(item)
        except asyncio.CancelledError:
            raise
        except TimeoutError:
            hand_over(QuestionError(ErrorType.TIMEOUT, "the answer was read too slowly and was abandoned"))
        except Exception as error:  # raised again in the consumer
            hand_over(error)
        else:
            await queue.put(None)

    task = asyncio.create_task(run())
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
