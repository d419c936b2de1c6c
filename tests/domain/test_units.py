"""Units: their order, their times, and what a limit cuts."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ceems_grpc.domain.questions.model import OrderBy, UnitsQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems, Limits
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, WINTER, make, unit

ANN, EVER = Viewer("ann"), Window(0, 2**33)
RUNNING: dict[str, Any] = {"ended_at": "Unknown", "ended_at_ts": 0}
ROWS = [
    unit(0, WINTER + 20, name="b", avg_cpu_usage='{"global":5}'),
    unit(1, WINTER + 10, name=None, avg_cpu_usage='{"global":"NaN"}'),
    unit(2, WINTER + 30, name="a", avg_cpu_usage="{}", **RUNNING),
    unit(3, WINTER + 40, name="é", avg_cpu_usage='{"global":40}'),
    unit(4, WINTER + 40, name="a", avg_cpu_usage='{"global":-1}'),
]
Open = Callable[..., Ceems]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    services: list[Ceems] = []

    def open_(rows: list[dict[str, Any]] = ROWS, limits: Limits | None = None) -> Ceems:
        services.append(Ceems(SqliteStore(make(tmp_path / f"{len(services)}.db", rows), zone=PARIS), limits))
        return services[-1]

    yield open_
    for service in services:
        await service.close()


@pytest.mark.parametrize(
    ("order", "uuids"),
    [
        ((), "01234"),
        ((OrderBy("name"),), "24031"),
        ((OrderBy("name", True),), "30241"),
        ((OrderBy("ended_at"),), "10342"),  # a running unit has no end and comes last in both directions
        ((OrderBy("ended_at", True),), "34012"),
        ((OrderBy("ended_at_ts"),), "21034"),  # the number that the API shows: 0 while the unit runs
        ((OrderBy("avg_cpu_usage.global"),), "41032"),  # a value that is not a number counts as 0
        ((OrderBy("avg_cpu_usage.global", True),), "30142"),
        ((OrderBy("name"), OrderBy("avg_cpu_usage.global", True)), "42031"),
        ((OrderBy("energy_per_unit_hour_kwh.total"),), "01234"),  # no unit has it
    ],
)
@pytest.mark.parametrize("limit", [None, 2])
async def test_order(opened: Open, order: tuple[OrderBy, ...], uuids: str, limit: int | None) -> None:
    question = UnitsQuestion(EVER, running=True, fields=("uuid",), order=order, limit=limit)
    answer = await opened().units(ANN, question)
    assert "".join(answer.table.column("uuid").to_pylist()) == uuids[:limit]
    assert bool(answer.warnings) == (limit is not None)


async def test_times_are_moments_and_empty_while_a_unit_runs(opened: Open) -> None:
    question = UnitsQuestion(EVER, uuids=("0", "2"), fields=("started_at", "ended_at", "ended_at_ts"))
    table = (await opened().units(ANN, question)).table
    assert str(table.schema.field("ended_at").type) == "timestamp[ms, tz=UTC]"
    first, second = table.to_pylist()
    assert first["ended_at"].timestamp() == WINTER + 20
    assert first["ended_at_ts"] == (WINTER + 20) * 1000
    assert (second["ended_at"], second["ended_at_ts"]) == (None, 0)
    assert second["started_at"].timestamp() == WINTER + 30 - 3600


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [(0, 0, True), (-1, 0, True), (0, 1, True), (1, 1, False), (-1, -1, False), (1, 0, False)],
)
async def test_both_ends_of_the_window_belong_to_it_and_seconds_count_whole(
    opened: Open, start: int, end: int, *, shown: bool
) -> None:
    ceems = opened([unit(0, WINTER, ended_at_ts=WINTER * 1000 + 999)])
    answer = await ceems.units(ANN, UnitsQuestion(Window(WINTER + start, WINTER + end)))
    assert answer.table.num_rows == int(shown)


async def test_a_unit_that_runs_is_in_no_window_unless_asked(opened: Open) -> None:
    ceems = opened()
    for running, count in ((False, 0), (True, 1)):
        answer = await ceems.units(ANN, UnitsQuestion(Window(0, 1), running=running))
        assert answer.table.num_rows == count


async def test_uuids_are_found_at_any_time_but_ignored_units_never(opened: Open) -> None:
    ceems = opened([unit(0), unit(1, **RUNNING), unit(2, ignore=1), unit(0, WINTER - 86_400)])
    answer = await ceems.units(ANN, UnitsQuestion(Window(1, 2), uuids=("0", "1", "2", "0")))
    assert answer.table.column("uuid").to_pylist() == ["0", "0", "1"]
    assert answer.table.column("ended_at").to_pylist()[0].timestamp() == WINTER - 86_400  # the earlier run first


async def test_the_smaller_of_two_limits_holds_and_is_told(opened: Open) -> None:
    for own, general, shown in ((None, 3, 3), (2, 3, 2), (4, 3, 3), (5, None, 5), (None, 5, 5)):
        ceems = opened(limits=Limits(rows=general))
        question = UnitsQuestion(EVER, running=True, limit=own)
        answer = await ceems.units(ANN, question)
        warnings: list[str] = []
        batches = [batch async for batch in ceems.units_stream(ANN, question, None, warnings)]
        assert answer.table.num_rows == sum(batch.num_rows for batch in batches) == shown
        assert list(answer.warnings) == warnings
        assert len(warnings) == (1 if shown < 5 else 0)


async def test_rows_without_any_value_of_the_asked_metric_are_rows(opened: Open) -> None:
    question = UnitsQuestion(EVER, fields=("avg_gpu_usage.global",))
    table = (await opened().units(ANN, question)).table
    assert table.to_pylist() == [{"avg_gpu_usage.global": None}] * 4


async def test_a_long_stream_is_whole(opened: Open) -> None:
    ceems = opened([unit(index) for index in range(9_000)])
    question = UnitsQuestion(EVER, fields=("uuid",))
    batches = [batch async for batch in ceems.units_stream(ANN, question, None, [])]
    assert len(batches) > 1
    rows = pa.Table.from_batches(batches)
    assert rows.column(0).to_pylist() == sorted(str(n) for n in range(9_000))


async def test_a_stream_that_is_left_early_frees_its_reader(opened: Open) -> None:
    ceems = opened([unit(index) for index in range(9_000)])
    for _ in range(10):  # more often than the number of connections
        stream = ceems.units_stream(ANN, UnitsQuestion(EVER), None, [])
        await anext(stream)
        await stream.aclose()
    assert (await ceems.units(ANN, UnitsQuestion(EVER, uuids=("1",)))).table.num_rows == 1
