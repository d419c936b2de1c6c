"""Reading ahead of a slow consumer, so that a read transaction ends when the rows are read, not when they are sent."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

import pyarrow as pa

from ceems_grpc.domain.errors import ErrorType, QuestionError
from ceems_grpc.domain.spill_file import SpillFile, SpillFullError
from ceems_grpc.store.columnar.json_rows import JsonText
from ceems_grpc.store.runtime.memory_budget import claim_buffer

Item: TypeAlias = pa.RecordBatch | JsonText

_AHEAD = 16 * 1024 * 1024  # bytes that are read ahead in memory
_PATIENCE = 3.0  # seconds that a whole read waits for its consumer


async def read_ahead(
    source: AsyncGenerator[Item, None], *, ahead: int = _AHEAD, patience: float = _PATIENCE
) -> AsyncGenerator[Item, None]:
    """Yield the items of a source, which a separate task reads ahead, up to 16 MiB in memory.

    The read waits for its consumer for at most 3 s in total, because a longer read would hold up the database's writer.
    From then on the items are copied to a temporary file as fast as the source yields them. If the file becomes too
    large or cannot be written, the consumer gets an error (503).
    """
    claim_buffer(ahead)
    buffer = _Buffer(ahead, patience)

    async def run() -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    await buffer.put(item)
        except asyncio.CancelledError:
            raise
        except (SpillFullError, OSError):
            buffer.end(QuestionError(ErrorType.TIMEOUT, "the answer was read too slowly and was abandoned"))
        except Exception as error:  # raised again in the consumer
            buffer.end(error)
        else:
            buffer.end(None)

    task = asyncio.create_task(run())
    try:
        while (item := await buffer.take()) is not None:
            yield item
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await buffer.close()


class _Buffer:
    """Items between a read and its consumer: in memory at first, in a file once the read has waited too long."""

    def __init__(self, ahead: int, patience: float) -> None:
        self._ahead = ahead
        self._patience = patience
        self._held: deque[Item] = deque()
        self._bytes = 0
        self._file: SpillFile | None = None
        self._ended = False
        self._error: Exception | None = None
        self._taken = asyncio.Event()
        self._given = asyncio.Event()

    async def put(self, item: Item) -> None:
        """Add an item, which may wait for the consumer. Raises `SpillFullError` and OSError."""
        size = _size(item)
        if self._file is None and not await self._has_room(size):
            self._file = await asyncio.to_thread(SpillFile)
        if self._file is None:
            self._held.append(item)
            self._bytes += size
        else:
            await asyncio.to_thread(self._file.write, item)
        self._given.set()

    def end(self, error: Exception | None) -> None:
        """Tell the consumer that no item follows, or that the read has failed."""
        self._ended, self._error = True, error
        self._given.set()

    async def take(self) -> Item | None:
        """Return the next item, None after the last one. Raises the error of the read at once."""
        while True:
            if self._error is not None:
                raise self._error
            if self._held:
                item = self._held.popleft()
                self._bytes -= _size(item)
                self._taken.set()
                return item
            if self._file is not None and self._file.waiting:
                return await asyncio.to_thread(self._file.read)
            if self._ended:
                return None
            self._given.clear()
            await self._given.wait()

    async def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            await asyncio.to_thread(self._file.close)

    async def _has_room(self, size: int) -> bool:
        """Wait until memory has room for an item of this size; return False if the patience is used up first."""
        loop = asyncio.get_running_loop()
        while self._held and self._bytes + size > self._ahead:
            began = loop.time()
            self._taken.clear()
            try:
                async with asyncio.timeout(self._patience):
                    await self._taken.wait()
            except TimeoutError:
                return False
            self._patience = max(self._patience - (loop.time() - began), 0.0)
        return True


def _size(item: Item) -> int:
    return len(item.text) if isinstance(item, JsonText) else int(item.nbytes)
