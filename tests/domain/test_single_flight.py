"""Equal work at the same time is done once, and goes on as long as anybody waits for it."""

import asyncio

import pytest

from ceems_grpc.domain.single_flight import SingleFlight


class Work:
    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.started += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.started


async def test_those_who_ask_while_it_runs_share_the_answer() -> None:
    once, work = SingleFlight[int](), Work()
    waiting = [asyncio.create_task(once.run("a", work)) for _ in range(5)]
    other = asyncio.create_task(once.run("b", work))
    await asyncio.sleep(0)
    work.go.set()
    assert len(set(await asyncio.gather(*waiting))) == 1
    await other
    assert work.started == 2
    await once.run("a", work)
    assert work.started == 3


async def test_it_goes_on_while_anybody_waits_and_ends_with_the_last() -> None:
    once, work = SingleFlight[int](), Work()
    first, second = (asyncio.create_task(once.run("a", work)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (work.started, work.cancelled) == (1, 0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await asyncio.sleep(0)
    assert work.cancelled == 1
    work.go.set()
    assert await once.run("a", work) == 2


async def test_all_who_wait_get_the_error_and_the_next_tries_again() -> None:
    once = SingleFlight[int]()
    tries = 0

    async def fail() -> int:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)
        raise LookupError("gone")

    results = await asyncio.gather(once.run("a", fail), once.run("a", fail), return_exceptions=True)
    assert [str(result) for result in results] == ["gone", "gone"]
    assert tries == 1
    with pytest.raises(LookupError):
        await once.run("a", fail)
    assert tries == 2
