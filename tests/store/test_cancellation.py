"""Blocking work stops soon after its caller is cancelled, and the caller continues only after it has ended."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ceems_grpc.store.runtime.cancellation import (
    NeedsLoopError,
    check_cancelled,
    in_one_thread,
    pause,
    run_cancellable,
    stop_tasks,
    until_cancelled,
)


async def cancel_when(task: "asyncio.Task[object]", begun: threading.Event) -> None:
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()


async def test_work_returns_and_raises() -> None:
    assert await run_cancellable(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await run_cancellable(lambda: 1 // 0)


@pytest.mark.parametrize("by", ["check", "items", "interrupt", "awaited interrupt"])
async def test_cancelled_work_has_ended_when_its_caller_goes_on(by: str) -> None:
    begun, interrupted, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        try:
            if by == "items":
                for _ in until_cancelled(range(10**12)):
                    pass
            while not interrupted.wait(0.001):
                if by == "check":
                    check_cancelled()
        finally:
            time.sleep(0.05)
            ended.set()

    async def interrupt() -> None:
        interrupted.set()

    given = {"interrupt": interrupted.set, "awaited interrupt": interrupt}.get(by)
    task = asyncio.create_task(run_cancellable(work, given))
    await cancel_when(task, begun)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert ended.is_set()


async def test_work_that_is_cancelled_again_and_again_has_ended_too() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.3)
        ended.set()

    task = asyncio.create_task(run_cancellable(work))
    await cancel_when(task, begun)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.01)
    assert ended.is_set()
    assert task.cancelled()


async def test_an_interrupt_is_repeated_until_the_work_ends() -> None:
    begun = threading.Event()
    times: list[int] = []

    def work() -> None:
        begun.set()
        while len(times) < 3:
            time.sleep(0.001)

    task = asyncio.create_task(run_cancellable(work, lambda: times.append(1)))
    await cancel_when(task, begun)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert len(times) >= 3


async def test_work_that_does_not_stop_is_given_up_after_the_patience() -> None:
    begun, released = threading.Event(), threading.Event()
    given_up: list[bool] = []

    def work() -> bool:
        begun.set()
        return released.wait(20)

    with ThreadPoolExecutor(1) as threads:
        task = asyncio.create_task(
            run_cancellable(
                work,
                lambda: None,
                start=lambda work: asyncio.wrap_future(threads.submit(work)),
                patience=0.1,
                give_up=lambda: given_up.append(released.is_set()),
            )
        )
        await cancel_when(task, begun)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        assert given_up == [False]
        released.set()


async def test_tasks_that_ended_are_not_interrupted() -> None:
    async def fail() -> None:
        raise ValueError

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    assert await stop_tasks([task], lambda: pytest.fail("was interrupted"))


async def test_all_steps_of_work_in_one_thread_run_in_it() -> None:
    async def work() -> set[int]:
        threads = {threading.get_ident(), await run_cancellable(threading.get_ident)}
        await pause(0.001)
        return threads | {await run_cancellable(threading.get_ident)}

    threads = await in_one_thread(work)
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    with pytest.raises(ZeroDivisionError):
        await in_one_thread(lambda: run_cancellable(lambda: 1 // 0))


async def test_work_in_one_thread_cannot_wait_for_the_event_loop() -> None:
    with pytest.raises(NeedsLoopError):
        await in_one_thread(lambda: asyncio.sleep(0))


async def test_work_in_one_thread_is_cancelled_at_the_step_that_it_is_at() -> None:
    begun, interrupted, went_on = threading.Event(), threading.Event(), threading.Event()

    def step() -> None:
        begun.set()
        assert interrupted.wait(20)

    async def work() -> None:
        await run_cancellable(lambda: None, lambda: pytest.fail("this step has ended"))
        await run_cancellable(step, interrupted.set)
        await run_cancellable(went_on.set)

    task = asyncio.create_task(in_one_thread(work))
    await cancel_when(task, begun)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert interrupted.is_set()
    assert not went_on.is_set()
