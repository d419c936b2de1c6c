"""A read ends in time even if its rows are taken slowly, and no row is lost."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pyarrow as pa
import pytest

from ceems_grpc.domain import spill_file
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.read_ahead import Item, read_ahead
from ceems_grpc.store.columnar.json_rows import JsonText

COUNT = 40


def items() -> list[Item]:
    """Return texts and batches in turn, 1,000 bytes each."""
    return [
        JsonText(number, b"%04d" % number * 250)
        if number % 2
        else pa.record_batch({"n": pa.array([number] * 125, pa.int64()), "t": pa.nulls(125, pa.string())})
        for number in range(COUNT)
    ]


class Read:
    """A read that records when it has ended."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ended: float | None = None
        self._error = error

    async def rows(self) -> AsyncGenerator[Item, None]:
        try:
            for item in items():
                await asyncio.sleep(0)
                yield item
            if self._error:
                raise self._error
        finally:
            self.ended = time.monotonic()


async def test_a_slow_consumer_gets_every_item_and_the_read_ends_long_before() -> None:
    read, began = Read(), time.monotonic()
    taken = []
    async for item in read_ahead(read.rows(), ahead=5_000, patience=0.2):
        taken.append(item)
        await asyncio.sleep(0.05)
    assert taken == items()
    assert read.ended is not None
    assert read.ended - began < 1.0 < time.monotonic() - began
    assert spill_file._together == 0


async def test_the_waiting_counts_together_not_for_each_item() -> None:
    read = Read()
    async with aclosing(read_ahead(read.rows(), ahead=2_000, patience=0.3)) as taking:
        for _ in range(20):  # takes an item before the reader runs out of patience
            await anext(taking)
            await asyncio.sleep(0.1)
        assert read.ended is not None


async def test_a_quick_consumer_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ceems_grpc.domain.read_ahead.SpillFile", None)
    assert [item async for item in read_ahead(Read().rows(), ahead=1)] == items()


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_BYTES_TOGETHER"])
async def test_what_does_not_fit_into_the_file_ends_with_an_error(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill_file, limit, 5_000)
    read = Read()
    with pytest.raises(QuestionError, match="read too slowly") as caught:  # noqa: PT012 - until it ends
        async for _ in read_ahead(read.rows(), ahead=2_000, patience=0.05):
            await asyncio.sleep(0.05)
    assert caught.value.status == 503
    assert read.ended is not None
    assert spill_file._together == 0


async def test_a_folder_that_cannot_be_written_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(QuestionError, match="read too slowly"):  # noqa: PT012 - until it ends
        async for _ in read_ahead(Read().rows(), ahead=2_000, patience=0.05):
            await asyncio.sleep(0.05)


async def test_the_error_of_a_read_reaches_the_consumer() -> None:
    with pytest.raises(ValueError, match="broken"):
        assert [item async for item in read_ahead(Read(ValueError("broken")).rows())]


async def test_a_consumer_that_leaves_ends_the_read() -> None:
    read = Read()
    async with aclosing(read_ahead(read.rows(), ahead=1_000, patience=60)) as taking:
        await anext(taking)
    assert read.ended is not None
