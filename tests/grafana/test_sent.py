"""What is due when an answer has been sent."""

import asyncio

import pytest

from ceems_grpc.datasource import _memory_claimed
from ceems_grpc.grafana.backend.sent import collect_due, when_sent
from ceems_grpc.store.runtime.memory_budget import MEBIBYTE, MemoryBudget, claim_answer


async def test_callbacks_wait_for_the_end_of_the_request() -> None:
    called: list[str] = []

    async def request() -> None:
        due = collect_due()
        await asyncio.create_task(query())  # the queries of a request run in tasks of their own
        assert called == []
        for callback in due:
            callback()

    async def query() -> None:
        when_sent(lambda: called.append("sent"))

    await asyncio.create_task(request())
    assert called == ["sent"]


async def test_outside_of_a_request_callbacks_run_at_once() -> None:
    called: list[str] = []
    when_sent(lambda: called.append("sent"))
    assert called == ["sent"]


async def test_memory_is_claimed_until_the_answer_has_been_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = MemoryBudget(1024 * MEBIBYTE, used=lambda: 0)
    monkeypatch.setattr("ceems_grpc.datasource.BUDGET", budget)
    due = collect_due()
    with _memory_claimed(10):
        claim_answer(100 * MEBIBYTE)
    assert not budget.try_claim(600 * MEBIBYTE)
    for callback in due:
        callback()
    assert budget.try_claim(600 * MEBIBYTE)
