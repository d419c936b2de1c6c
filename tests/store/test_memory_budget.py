"""The memory budget: its default, its shares, claims, and what happens to questions when it is used up."""

import asyncio
from pathlib import Path

import pytest

from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.runtime import memory_budget
from ceems_grpc.store.runtime.admission import Queue
from ceems_grpc.store.runtime.cost import CostClass
from ceems_grpc.store.runtime.host_memory import cgroup_limit, default_limit, own_memory
from ceems_grpc.store.runtime.memory_budget import LEAST_LIMIT, MEBIBYTE, MemoryBudget

GIBIBYTE = 1024 * MEBIBYTE


def host(root: Path, cgroup: str, limits: dict[str, str]) -> Path:
    """Write the files of a host that tell its memory limits."""
    for name, text in {"proc/self/cgroup": cgroup, **limits}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "limits", "found"),
    [
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, 1000),
        ("0::/a\n", {"sys/fs/cgroup/a/memory.max": "3000\n", "sys/fs/cgroup/memory.max": "2000\n"}, 2000),
        ("0::/host/path\n", {"sys/fs/cgroup/memory.max": "2000\n"}, 2000),
        (
            "5:cpu:/x\n4:memory:/a\n0::/\n",
            {
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            4000,
        ),
        ("4:memory:/\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("", {}, None),
    ],
)
def test_the_limit_of_the_cgroup(tmp_path: Path, cgroup: str, limits: dict[str, str], found: int | None) -> None:
    assert cgroup_limit(host(tmp_path, cgroup, limits)) == found


def test_the_default_is_a_part_of_the_cgroup_or_the_machine(tmp_path: Path) -> None:
    machine = default_limit(tmp_path)
    assert machine > 0
    small = host(tmp_path, "0::/\n", {"sys/fs/cgroup/memory.max": f"{400 * MEBIBYTE}\n"})
    assert default_limit(small) == min(300 * MEBIBYTE, machine)
    assert MemoryBudget(300 * MEBIBYTE).limit == LEAST_LIMIT


class Owner:
    """What joins a budget in place of a data source."""


def test_the_smallest_setting_applies_until_its_owner_leaves() -> None:
    budget = MemoryBudget(8 * GIBIBYTE)
    one, two = Owner(), Owner()
    budget.join(one, 2 * GIBIBYTE, 1)
    budget.join(two, 512 * MEBIBYTE, 1)
    assert budget.limit == 512 * MEBIBYTE
    assert budget.mirror_share == 64 * MEBIBYTE
    assert budget.cache_share == 16 * MEBIBYTE
    budget.leave(two)
    assert budget.limit == 2 * GIBIBYTE
    assert (budget.mirror_share, budget.cache_share) == (128 * MEBIBYTE, 32 * MEBIBYTE)
    budget.leave(one)
    assert budget.limit == 8 * GIBIBYTE


def room(budget: MemoryBudget) -> int:
    """Return how many MiB can be claimed at once beside what is claimed already."""
    fits = 0
    for size in range(1, 10_000):
        if not budget.try_claim(size * MEBIBYTE):
            break
        budget.try_claim(-size * MEBIBYTE)
        fits = size
    return fits


def test_a_claim_is_the_largest_of_its_steps_until_it_is_released() -> None:
    budget = MemoryBudget(GIBIBYTE, used=lambda: 0)
    held = budget.claim()
    held.need(MEBIBYTE)
    whole = room(budget)
    claim = budget.claim()
    claim.need(100 * MEBIBYTE)
    claim.need(40 * MEBIBYTE)
    assert room(budget) == whole - 100
    assert claim.try_begin()  # its share is a part of what is claimed
    assert room(budget) == whole - 100
    claim.release()
    assert room(budget) == whole - 100  # the question still runs, for another request
    claim.end()
    assert room(budget) == whole
    claim.need(100 * MEBIBYTE)
    assert room(budget) == whole


def test_what_does_not_fit_is_refused_with_a_sentence_and_claims_nothing() -> None:
    budget = MemoryBudget(LEAST_LIMIT, used=lambda: 0)
    claim, other = budget.claim(), budget.claim()
    other.need(8 * MEBIBYTE)
    before = room(budget)
    with pytest.raises(StoreBusyError, match=r"memoryLimit.*choose a shorter time range"):
        claim.need(LEAST_LIMIT)
    assert room(budget) == before


def test_memory_that_is_really_used_counts_too() -> None:
    used = [LEAST_LIMIT - 50 * MEBIBYTE]
    budget = MemoryBudget(LEAST_LIMIT, used=lambda: used[0])
    claim = budget.claim()
    claim.need(40 * MEBIBYTE)
    with pytest.raises(StoreBusyError):
        claim.need(40 * MEBIBYTE + 60 * MEBIBYTE)


async def hold(budget: MemoryBudget, until: asyncio.Event) -> None:
    async with budget.large_question():
        await until.wait()


async def test_large_questions_wait_for_memory_and_are_refused_with_a_sentence() -> None:
    budget = MemoryBudget(LEAST_LIMIT, used=lambda: 0, patience=0.2)
    done = asyncio.Event()
    holding = [asyncio.create_task(hold(budget, done)) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(StoreBusyError, match=r"memoryLimit.*choose a shorter time range"):
        await asyncio.wait_for(hold(budget, done), 5)
    done.set()
    await asyncio.gather(*holding)
    async with budget.large_question():  # all was given back
        pass


async def test_a_waiting_question_goes_on_when_memory_is_free() -> None:
    used = [LEAST_LIMIT]
    budget = MemoryBudget(LEAST_LIMIT, used=lambda: used[0], patience=30)
    done = asyncio.Event()
    done.set()
    task = asyncio.create_task(hold(budget, done))
    await asyncio.sleep(0.1)
    assert not task.done()
    used[0] = 0
    await asyncio.wait_for(task, 5)


async def test_a_cancelled_question_gives_its_memory_back() -> None:
    budget = MemoryBudget(LEAST_LIMIT, used=lambda: 0)
    before = room(budget)
    task = asyncio.create_task(hold(budget, asyncio.Event()))
    await asyncio.sleep(0)
    assert room(budget) < before
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert room(budget) == before


async def test_on_an_ordinary_machine_all_lanes_fit() -> None:
    budget = MemoryBudget(2 * GIBIBYTE, used=lambda: 600 * MEBIBYTE, patience=0)
    owner = Owner()
    budget.join(owner, None, 1)
    done = asyncio.Event()
    tasks = [asyncio.create_task(hold(budget, done)) for _ in range(4)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in tasks)
    done.set()
    await asyncio.gather(*tasks)


async def test_only_large_turns_look_at_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def used() -> int:
        looked.append(1)
        return 0

    budget = MemoryBudget(GIBIBYTE, used=used)
    monkeypatch.setattr("ceems_grpc.store.runtime.admission.BUDGET", budget)
    queue = Queue()
    async with queue.turn(CostClass.SMALL):
        memory_budget.claim_rows(1000, 1000)
        memory_budget.claim_answer(10_000)
    assert not looked
    async with queue.turn(CostClass.LARGE):
        assert looked


def test_own_memory_follows_the_process() -> None:
    before = own_memory()
    block = bytearray(b"x") * (64 * MEBIBYTE)
    assert own_memory() - before > 32 * MEBIBYTE
    assert len(block) == 64 * MEBIBYTE
