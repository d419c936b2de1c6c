"""The queue: a limited number of questions runs, a limited number waits, the next is refused; cancelled ones leave."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.runtime.admission import Lane, Queue, is_large
from ceems_grpc.store.runtime.cost import CostClass


class Visitors:
    """Questions that take a turn and keep it until the test releases them."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.order: list[int] = []
        self.inside = 0
        self.most = 0
        self.go = asyncio.Event()

    async def visit(self, number: int) -> None:
        async with self._lane.turn():
            self.order.append(number)
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self.go.wait()
            finally:
                self.inside -= 1

    async def start(self, count: int) -> "list[asyncio.Task[None]]":
        tasks = [asyncio.create_task(self.visit(number)) for number in range(count)]
        await _rounds()
        return tasks


async def _rounds() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def sample(name: str, cost: CostClass) -> float:
    return REGISTRY.get_sample_value(name, {"lane": cost}) or 0.0


async def test_so_many_run_so_many_wait_and_the_next_is_refused_at_once() -> None:
    visitors = Visitors(Lane(CostClass.LARGE, running=2, waiting=3))
    refused, waited = (
        sample("ceems_queue_refused_total", CostClass.LARGE),
        sample("ceems_queue_wait_seconds_count", CostClass.LARGE),
    )
    tasks = await visitors.start(7)
    assert visitors.inside == 2
    assert sample("ceems_queue_running", CostClass.LARGE) == 2
    assert sample("ceems_queue_waiting", CostClass.LARGE) == 3
    assert [task.done() for task in tasks] == [False] * 5 + [True] * 2
    for task in tasks[5:]:
        with pytest.raises(StoreBusyError, match="3 large questions wait for it already; ask again"):
            await task
    visitors.go.set()
    await asyncio.gather(*tasks[:5])
    assert visitors.order == [0, 1, 2, 3, 4]
    assert visitors.most == 2
    assert sample("ceems_queue_refused_total", CostClass.LARGE) - refused == 2
    assert sample("ceems_queue_wait_seconds_count", CostClass.LARGE) - waited == 5
    assert sample("ceems_queue_running", CostClass.LARGE) == sample("ceems_queue_waiting", CostClass.LARGE) == 0


async def test_who_is_cancelled_leaves_the_queue_and_makes_room() -> None:
    visitors = Visitors(Lane(CostClass.SMALL, running=1, waiting=2))
    tasks = await visitors.start(3)
    tasks[1].cancel()
    await _rounds()
    late = asyncio.create_task(visitors.visit(9))
    await _rounds()
    assert not late.done(), "a place in the queue is free again"
    tasks[0].cancel()  # a running question frees its place too
    await _rounds()
    assert visitors.order == [0, 2]
    visitors.go.set()
    await asyncio.gather(tasks[2], late)
    assert visitors.order == [0, 2, 9]
    assert sample("ceems_queue_waiting", CostClass.SMALL) == 0


async def test_who_has_just_been_given_a_turn_does_not_wait_any_more() -> None:
    """Its task may not have resumed yet when the question that left comes back."""
    lane = Lane(CostClass.LARGE, running=1, waiting=1)

    async def turns() -> int:
        for _ in range(10):
            async with lane.turn():
                await asyncio.sleep(0)
        return 10

    assert list(await asyncio.gather(turns(), turns())) == [10, 10]


async def test_what_fails_leaves_its_place() -> None:
    lane = Lane(CostClass.SMALL, running=1, waiting=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with lane.turn():
                raise ZeroDivisionError


async def test_large_questions_do_not_keep_small_ones_waiting() -> None:
    queue = Queue()
    async with AsyncExitStack() as stack:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):  # until the limit of running questions is reached
                while True:
                    await stack.enter_async_context(queue.turn(CostClass.LARGE))
        async with asyncio.timeout(10), queue.turn(CostClass.SMALL):
            assert not is_large()


async def test_what_runs_knows_the_size_of_its_turn() -> None:
    queue = Queue()
    assert not is_large()
    async with queue.turn(CostClass.LARGE):
        assert is_large()
        assert await asyncio.to_thread(is_large)
    assert not is_large()


@given(st.integers(1, 3), st.integers(0, 4), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_in_any_order_of_events_all_are_served_or_refused(
    running: int, waiting: int, events: list[tuple[int, bool]]
) -> None:
    """Events: questions arrive; after each, the oldest one that is left may be cancelled."""

    async def play() -> None:
        lane = Lane(CostClass.SMALL, running, waiting)
        visitors = Visitors(lane)
        tasks: list[asyncio.Task[None]] = []
        for come, cancel in events:
            for _ in range(come):
                there = sum(not task.done() for task in tasks)
                task = asyncio.create_task(visitors.visit(len(tasks)))
                tasks.append(task)
                await _rounds()
                assert task.done() == (there >= running + waiting), "refused exactly when the queue is full"
            alive = [task for task in tasks if not task.done()]
            if cancel and alive:
                alive[0].cancel()
                await _rounds()
            alive = [task for task in tasks if not task.done()]
            assert visitors.inside == min(running, len(alive)), "no question waits while a place is free"
        visitors.go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert visitors.inside == 0
        assert visitors.most <= running
        assert visitors.order == sorted(visitors.order)
        assert all(r is None or isinstance(r, StoreBusyError | asyncio.CancelledError) for r in results)

    asyncio.run(play())
