"""Usage: cases that the property tests rarely reach."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.domain.questions.model import (
    Mode,
    OrderBy,
    Selection,
    Source,
    UsageOverTimeQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, WINTER, insert_rows, local, make, unit

ROOT, EVER = Viewer("root", admin_by_role=True), Window(0, 2**33)


async def ask(path: Path, question: UsageQuestion) -> list[dict[str, Any]]:
    ceems = Ceems(SqliteStore(path, zone=PARIS))
    try:
        found: list[dict[str, Any]] = (await ceems.usage(ROOT, question)).table.to_pylist()
    finally:
        await ceems.close()
    return found


def made(tmp_path: Path, units: list[dict[str, Any]], usage: list[dict[str, Any]]) -> Path:
    path = make(tmp_path / "ceems.db", units)
    with closing(sqlite3.connect(path)) as connection:
        insert_rows(connection, "usage", usage)
        connection.commit()
    return path


async def test_a_sum_over_nothing_is_no_row_but_a_sum_of_no_units_is(tmp_path: Path) -> None:
    path = made(tmp_path, [], [{"cluster_id": "c", "num_units": 0, "total_time_seconds": '{"walltime":5}'}])
    fields = ("num_units", "total_time_seconds")
    whole = UsageQuestion(EVER, Mode.GLOBAL, exact_groups=True, fields=fields, admin=True)
    assert await ask(path, whole) == [{"num_units": 0, "total_time_seconds.walltime": 5.0}]
    none = UsageQuestion(EVER, exact_groups=True, fields=fields, admin=True)
    assert await ask(path, none) == []
    elsewhere = UsageQuestion(
        EVER, Mode.GLOBAL, selection=Selection(("d",)), exact_groups=True, fields=fields, admin=True
    )
    assert await ask(path, elsewhere) == []


async def test_a_mean_leaves_out_the_weights_of_units_without_a_value(tmp_path: Path) -> None:
    rows = [
        unit(0, avg_cpu_usage='{"global":30}', total_time_seconds='{"alloc_cputime":100}'),
        unit(1, avg_cpu_usage='{"global":60}', total_time_seconds='{"alloc_cputime":200}'),
        unit(2, avg_cpu_usage="{}", total_time_seconds='{"alloc_cputime":9999}'),
        unit(3, avg_cpu_usage='{"global":90}', total_time_seconds="{}"),  # no weight
        unit(4, avg_gpu_usage='{"global":90}', total_time_seconds='{"alloc_gputime":0}'),
    ]
    question = UsageQuestion(
        EVER, fields=("avg_cpu_usage", "avg_gpu_usage", "used_cpu_time_seconds", "num_units"), admin=True
    )
    assert await ask(make(tmp_path / "ceems.db", rows), question) == [
        {
            "avg_cpu_usage.global": 50.0,
            "avg_gpu_usage.global": 0.0,
            "used_cpu_time_seconds.global": 150.0,
            "num_units": 5,
        }
    ]


async def test_what_is_not_grouped_by_is_of_the_first_cluster(tmp_path: Path) -> None:
    rows = [
        unit(0, cluster_id="b", resource_manager="a-manager", groupname="a"),
        unit(1, cluster_id="a", resource_manager="z-manager", groupname="z"),
    ]
    question = UsageQuestion(EVER, fields=("cluster_id", "resource_manager", "groupname", "num_units"), admin=True)
    assert await ask(make(tmp_path / "ceems.db", rows), question) == [
        {"cluster_id": "a", "resource_manager": "z-manager", "groupname": "z", "num_units": 2}
    ]


async def test_sorting_by_a_computed_column_with_a_limit(tmp_path: Path) -> None:
    rows = [
        unit(index, username=f"u{index}", total_cpu_energy_usage_kwh=f'{{"total":{energy}}}')
        for index, energy in enumerate((3, 1, 2))
    ] + [unit(9, username="u9")]
    order = (OrderBy("total_energy_usage_kwh.total", descending=True),)
    question = UsageQuestion(EVER, fields=("username",), order=order, limit=3, admin=True)
    assert [row["username"] for row in await ask(make(tmp_path / "ceems.db", rows), question)] == ["u0", "u2", "u1"]


async def test_days_count_when_their_start_lies_in_the_window(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", [])
    day = WINTER // 86_400 * 86_400
    with closing(sqlite3.connect(path)) as connection:
        row = {"cluster_id": "c", "project": "p", "num_units": 1, "last_updated_at": "2025-12-01T01:00:00"}
        insert_rows(connection, "daily_usage", [{**row, "username": "u"}])
        connection.commit()
    for start, end, count, widened in (
        (day, day, 1, 1),
        (day, day + 86_399, 1, 1),
        (day - 86_400, day - 1, 0, 1),
        (day - 900, day - 900, 0, 0),
        (day + 1, day + 999, 0, 1),
        (day + 900, day + 999, 0, 0),
    ):
        question = UsageQuestion(Window(start, end), source=Source.DAILY, admin=True)
        assert len(await ask(path, question)) == count
        assert len(await ask(path, replace(question, rounds_window=True))) == widened


async def test_prorated_usage_is_what_was_used_in_the_window(tmp_path: Path) -> None:
    """A machine of 1 kW runs for a year; a job of 10 kWh ran for ten hours, half of them before noon."""
    now = WINTER // 86_400 * 86_400 + 12 * 3_600
    year = 365 * 86_400
    times: dict[str, Any] = {
        "started_at_ts": (now - year) * 1000,
        "ended_at_ts": 0,
        "last_updated_at": local(now, PARIS),
    }
    machine: dict[str, Any] = {"total_cpu_energy_usage_kwh": '{"total":8760}', "avg_cpu_usage": '{"global":20}'}
    job: dict[str, Any] = {"total_cpu_energy_usage_kwh": '{"total":10}', "avg_cpu_usage": '{"global":80}'}
    rows = [
        unit(0, **times, **machine, total_time_seconds=f'{{"alloc_cputime":{year}}}'),
        unit(
            1,
            now + 5 * 3_600 - 4 * 86_400,
            started_at_ts=(now - 5 * 3_600 - 4 * 86_400) * 1000,
            **job,
            total_time_seconds='{"alloc_cputime":36000}',
        ),
        unit(2, now - 2 * 86_400, started_at_ts=0, total_cpu_energy_usage_kwh='{"total":3}'),
        unit(3, now - 2 * 86_400, started_at_ts=now * 1000, total_cpu_energy_usage_kwh='{"total":4}'),
    ]
    path = make(tmp_path / "ceems.db", rows)
    fields = ("num_units", "total_cpu_energy_usage_kwh", "avg_cpu_usage")

    async def used(start: int, end: int) -> tuple[Any, ...] | None:
        found = await ask(path, UsageQuestion(Window(start, end), source=Source.PRORATED, fields=fields, admin=True))
        names = ("num_units", "total_cpu_energy_usage_kwh.total", "avg_cpu_usage.global")
        return tuple(found[0].get(name) for name in names) if found else None

    day = now - 12 * 3_600
    assert await used(day - 86_400, day - 1) == (1, pytest.approx(24), pytest.approx(20))
    assert await used(day, now + 3_600) == (1, pytest.approx(12), pytest.approx(20))  # nothing beyond the data
    # Half of the job, and its mean weighted by the time that it ran in the window.
    before_noon = await used(day - 4 * 86_400, now - 4 * 86_400 - 1)
    assert before_noon == (2, pytest.approx(12 + 5), pytest.approx((12 * 20 + 5 * 80) / 17))
    # A unit without a start, or that ends before its start, counts in full at the time of its last update.
    assert await used(now - 2 * 86_400, now - 2 * 86_400) == (3, pytest.approx(7 + 1 / 3_600), pytest.approx(20))
    assert await used(now - 2 * 86_400 - 3_600, now - 2 * 86_400 - 1) == (1, pytest.approx(1), pytest.approx(20))
    assert await used(now - 2 * year, now - year - 1) is None
    assert await used(now, now - year) is None


async def test_a_year_of_one_kilowatt_is_a_kilowatt_hour_each_hour(tmp_path: Path) -> None:
    now = WINTER // 86_400 * 86_400 + 12 * 3_600
    machine = unit(
        0,
        started_at_ts=(now - 365 * 86_400) * 1000,
        ended_at_ts=0,
        last_updated_at=local(now, PARIS),
        total_cpu_energy_usage_kwh='{"total":8760}',
    )
    ceems = Ceems(SqliteStore(make(tmp_path / "ceems.db", [machine]), zone=PARIS))
    field = "total_cpu_energy_usage_kwh.total"
    try:
        for step, hours, wanted in (
            (TimeStep.HOUR, 3, [1.0, 1.0, 1.0]),
            (TimeStep.DAY, 72, [11.0, 24.0, 24.0, 13.0]),  # days of Paris begin at 23:00 UTC
        ):
            question = UsageOverTimeQuestion(
                Window(now - hours * 3_600, now), step, PARIS, fields=(field, "num_units"), admin=True
            )
            table = (await ceems.usage_over_time(ROOT, question))[0].table
            assert table.column(field).to_pylist() == pytest.approx(wanted)
            assert table.column("num_units").to_pylist() == [0] * (len(wanted) - 1) + [1]
    finally:
        await ceems.close()


@pytest.mark.parametrize(("step", "told"), [(TimeStep.DAY, True), (TimeStep.HOUR, False)])
async def test_days_without_the_table_of_days_are_told(tmp_path: Path, step: TimeStep, *, told: bool) -> None:
    path = make(tmp_path / "ceems.db", [unit(0)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE daily_usage")
    ceems = Ceems(SqliteStore(path, zone=PARIS))
    window = Window(WINTER - 7200, WINTER)
    try:
        question = UsageOverTimeQuestion(window, step, fields=("num_units",), admin=True)
        answer, _ = await ceems.usage_over_time(ROOT, question)
        with pytest.raises(StoreError, match="no table daily_usage"):
            await ceems.usage(ROOT, UsageQuestion(window, source=Source.DAILY, admin=True))
    finally:
        await ceems.close()
    assert any("no table daily_usage" in warning for warning in answer.warnings) == told
    assert sum(answer.table.column("num_units").to_pylist()) == 1
