"""How values of units are distributed: counts, quantiles and their error, rights, and what is refused."""

import json
import math
import random
import sqlite3
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ceems_grpc.domain.answers import grouping
from ceems_grpc.domain.columns import DERIVED
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.buckets import ACCURACY, LARGEST, LOGARITHMIC, LOGARITHMIC_BOTH, SMALLEST
from ceems_grpc.domain.questions.model import DistributionQuestion, Selection, Source, Viewer
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems, Limits
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, WINTER, insert_rows, make, unit

EVER = Window(WINTER - 30 * 86_400, WINTER + 86_400)
ROOT, ANN = Viewer("root", admin_by_role=True), Viewer("ann")
ENERGY = "total_cpu_energy_usage_kwh.total"
HOUR = 3_600
MEMBERS = {"cluster_id": "slurm-0", "name": "alpha", "users": json.dumps(["ann", "bob"])}


def energies(*values: float | str | None, **more: Any) -> list[dict[str, Any]]:
    """Return units with these energies."""
    return [
        unit(number, total_cpu_energy_usage_kwh=json.dumps({} if value is None else {"total": value}), **more)
        for number, value in enumerate(values)
    ]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Callable[..., Ceems]]:
    stores: list[SqliteStore] = []

    def open_(units: list[dict[str, Any]], **limits: Any) -> Ceems:
        path = make(tmp_path / f"ceems-{len(stores)}.db", units)
        with closing(sqlite3.connect(path)) as connection:
            insert_rows(connection, "projects", [MEMBERS])
            connection.commit()
        stores.append(SqliteStore(path, zone=PARIS))
        return Ceems(stores[-1], Limits(**limits), clock=lambda: WINTER)

    yield open_
    for store in stores:
        await store.close()


def of(name: str, *bounds: float, **more: Any) -> DistributionQuestion:
    return DistributionQuestion(EVER, name, bounds=bounds, **{"admin": "auto", **more})


async def ask(ceems: Ceems, question: DistributionQuestion, viewer: Viewer = ROOT) -> list[dict[str, Any]]:
    answer, *_ = await ceems.distribution(viewer, question)
    found: list[dict[str, Any]] = answer.table.to_pylist()
    return found


async def counts(ceems: Ceems, question: DistributionQuestion, viewer: Viewer = ROOT) -> list[tuple[Any, ...]]:
    """Return for each row the groups, the step if there are steps, the ends of the bucket, and the count."""
    named = [*question.group_by, *(["step"] if question.step else []), "bucket_min", "bucket_max", "num_units"]
    return [tuple(row[name] for name in named) for row in await ask(ceems, question, viewer)]


async def test_a_bound_belongs_to_the_bucket_that_it_starts(opened: Callable[..., Ceems]) -> None:
    ceems = opened(energies(0.5, 1, 1.999, 2, 2, 7, 10, 50, None))
    assert await counts(ceems, of(ENERGY, 1, 2, 10)) == [(None, 1, 1), (1, 2, 2), (2, 10, 3), (10, None, 2)]


async def test_text_counts_as_zero_as_it_does_in_sums(opened: Callable[..., Ceems]) -> None:
    assert await counts(opened(energies("NaN", 3, None)), of(ENERGY, 1)) == [(None, 1, 1), (1, None, 1)]


async def test_logarithmic_buckets_are_narrow(opened: Callable[..., Ceems]) -> None:
    rows = await counts(opened(energies(0, 0, 1e-10, 3.5, 3.5, 700)), of(ENERGY))
    assert rows[0] == (0, 0, 3)
    for (low, high, number), (value, wanted) in zip(rows[1:], [(3.5, 2), (700, 1)], strict=True):
        assert low <= value < high
        assert high / low == pytest.approx((1 + ACCURACY) / (1 - ACCURACY))
        assert number == wanted


async def test_values_below_zero_have_buckets_of_their_own(opened: Callable[..., Ceems]) -> None:
    rows = await counts(opened(energies(-5, 0, 5)), of(ENERGY))
    assert [number for *_, number in rows] == [1, 1, 1]
    assert rows[0][:2] == (-rows[2][1], -rows[2][0])
    assert rows[0][0] <= -5 < rows[0][1]
    (quantiles,) = await ask(opened(energies(*[-7.0] * 99, 3)), of(ENERGY, quantiles=True))
    assert quantiles["p50"] == pytest.approx(-7, rel=ACCURACY)


@pytest.mark.parametrize("spread", [0.01, 1, 8])
async def test_quantiles_are_off_by_one_percent_at_most(opened: Callable[..., Ceems], spread: float) -> None:
    chance = random.Random(spread)
    values = [math.exp(chance.gauss(2, spread)) for _ in range(500)]
    (row,) = await ask(opened(energies(*values)), of(ENERGY, quantiles=True))
    ordered = sorted(values)
    for name, percent in {"p50": 50, "p90": 90, "p95": 95, "p99": 99}.items():
        exact = ordered[percent * (len(values) - 1) // 100]
        assert abs(row[name] - exact) <= ACCURACY * exact * 1.000001, name


def test_one_value_stands_for_a_logarithmic_bucket() -> None:
    assert LOGARITHMIC.bounds[1] <= SMALLEST < LARGEST <= LOGARITHMIC.bounds[-1]
    for buckets in (LOGARITHMIC, LOGARITHMIC_BOTH):
        for number, (low, high) in enumerate(zip(buckets.bounds, buckets.bounds[1:], strict=False), 1):
            middle = buckets.middle(number)
            assert bisect_right(buckets.bounds, middle) == number or number == buckets.zero
            if number != buckets.zero:
                assert abs(middle - low) <= abs(low) * ACCURACY * 1.000001
                assert abs(middle - high) <= abs(high) * ACCURACY * 1.000001


async def test_one_unit_has_all_quantiles(opened: Callable[..., Ceems]) -> None:
    (row,) = await ask(opened(energies(0)), of(ENERGY, quantiles=True))
    assert row == {"step": 0, "p50": 0, "p90": 0, "p95": 0, "p99": 0}


async def test_waits_runs_allocations_and_tags(opened: Callable[..., Ceems]) -> None:
    start = WINTER - HOUR
    rows = [
        unit(0, created_at_ts=(start - 90) * 1000, allocation='{"cpus":4}', tags='{"nice":10}'),
        unit(1, created_at_ts=start * 1000, allocation='{"cpus":4,"mem":"8G"}', tags='{"nice":"x"}'),
        unit(2, created_at_ts=0, started_at_ts=(start - HOUR) * 1000, allocation='{"cpus":64}', tags="{}"),
    ]
    ceems = opened(rows)
    assert await counts(ceems, of("wait_seconds", 1, 60)) == [(None, 1, 1), (60, None, 1)]
    assert await counts(ceems, of("elapsed", HOUR, 2 * HOUR)) == [(HOUR, 2 * HOUR, 2), (2 * HOUR, None, 1)]
    assert await counts(ceems, of("allocation.cpus", 4, 5, 64)) == [(4, 5, 2), (64, None, 1)]
    assert await counts(ceems, of("tags.nice", 0)) == [(0, None, 1)]


async def test_energy_of_cpus_and_gpus_together(opened: Callable[..., Ceems]) -> None:
    rows = [
        unit(number, total_cpu_energy_usage_kwh=json.dumps(cpu), total_gpu_energy_usage_kwh=json.dumps(gpu))
        for number, (cpu, gpu) in enumerate(
            [({"total": 1}, {}), ({}, {"total": 2}), ({"total": 1}, {"total": 2}), ({}, {})]
        )
    ]
    assert await counts(opened(rows), of("total_energy_usage_kwh.total", 2, 3)) == [
        (None, 2, 1), (2, 3, 1), (3, None, 1),
    ]  # fmt: skip


async def test_groups_and_filters_are_those_of_usage(opened: Callable[..., Ceems]) -> None:
    rows = [
        {**row, "username": user, "tags": json.dumps({"partition": partition}), "cluster_id": f"slurm-{number % 2}"}
        for number, (row, user, partition) in enumerate(
            zip(energies(1, 1, 5, 5), ["ann", "bob", "ann", "bob"], ["a", "b", "b", "b"], strict=True)
        )
    ]
    ceems = opened(rows)
    assert await counts(ceems, of(ENERGY, 2, group_by=("username",))) == [
        ("ann", None, 2, 1), ("ann", 2, None, 1), ("bob", None, 2, 1), ("bob", 2, None, 1),
    ]  # fmt: skip
    assert await counts(ceems, of(ENERGY, 2, group_by=("tags.partition",))) == [
        ("a", None, 2, 1), ("b", None, 2, 1), ("b", 2, None, 2),
    ]  # fmt: skip
    assert await counts(ceems, of(ENERGY, 2, selection=Selection(clusters=("slurm-0",)))) == [
        (None, 2, 1),
        (2, None, 1),
    ]
    by_tag = of("tags.partition", group_by=("tags.partition",))
    with pytest.raises(QuestionError, match=r"of: 'tags.partition' does not hold numbers; use a key of a metric"):
        await ask(ceems, by_tag)


async def test_steps_hold_the_units_of_usage(opened: Callable[..., Ceems]) -> None:
    day = 86_400
    rows = [
        unit(number, WINTER - days * day, total_cpu_energy_usage_kwh=json.dumps({"total": energy}))
        for number, (energy, days) in enumerate([(1, 2), (2, 2), (3, 0)])
    ]
    ceems = opened(rows)
    window = Window(WINTER - 2 * day - HOUR, WINTER + HOUR)
    for source in (Source.UNITS, Source.PRORATED):
        by_day: dict[str, Any] = {"step": TimeStep.DAY, "zone": ZoneInfo("UTC"), "admin": True}
        question = DistributionQuestion(window, ENERGY, source, bounds=(1.5,), **by_day)
        _, steps, _ = await ceems.distribution(ROOT, question)
        assert len(steps.starts) == 3
        assert await counts(ceems, question) == [(0, None, 1.5, 1), (0, 1.5, None, 1), (2, 1.5, None, 1)]
        series = await ask(ceems, DistributionQuestion(window, ENERGY, source, quantiles=True, **by_day))
        assert [row["step"] for row in series] == [0, 2]
        assert series[1]["p99"] == pytest.approx(3, rel=ACCURACY)


async def test_prorated_waits_are_those_of_units_that_started_in_the_range(opened: Callable[..., Ceems]) -> None:
    rows = [unit(0), unit(1, started_at_ts=(WINTER - 3 * HOUR) * 1000)]
    window = Window(WINTER - 2 * HOUR, WINTER)
    question = DistributionQuestion(window, "wait_seconds", Source.PRORATED, bounds=(1e6,), admin=True)
    assert sum(row["num_units"] for row in await ask(opened(rows), question)) == 1


async def test_members_see_their_projects_and_only_their_own_tags(opened: Callable[..., Ceems]) -> None:
    rows = [
        {**row, "username": user, "project": project, "tags": '{"nice":1}'}
        for row, user, project in zip(energies(1, 1, 1), ["ann", "bob", "cat"], ["alpha", "alpha", "beta"], strict=True)
    ]
    ceems = opened(rows)
    assert await counts(ceems, of(ENERGY, 9), ANN) == [(None, 9, 2)]
    assert await counts(ceems, of("tags.nice", 9), ANN) == [(None, 9, 1)]
    answer, *_ = await ceems.distribution(ANN, of("tags.nice", 9))
    assert answer.warnings == (
        "Only your own units count, since users do not see each other's tags.nice (setting sharedTags).",
    )
    with pytest.raises(QuestionError):
        await ask(ceems, of(ENERGY, admin=True), ANN)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (of(""), "of: name the field whose values are counted"),
        (of("walltime"), "of: units have no field 'walltime'; use a key of a metric"),
        (of("username"), "of: 'username' does not hold numbers; use"),
        (of("username.x"), "of: units have no field 'username.x'"),
        (of("avg_cpu_usage"), "has a value for each key: name one of them, such as avg_cpu_usage.global"),
        (of("allocation"), "such as allocation.cpus"),
        (of("used_cpu_time_percent.global"), "from several columns and cannot be counted: use avg_cpu_usage"),
        (of(ENERGY, 2, 1), "bounds: give the numbers in ascending order, each once"),
        (of(ENERGY, 1, 1), "bounds: give the numbers in ascending order, each once"),
        (of(ENERGY, math.nan), "bounds: give finite numbers"),
        (of(ENERGY, 1, math.inf), "bounds: give finite numbers"),
        (of(ENERGY, *range(101)), "bounds: 101 values; at most 100: give fewer"),
        (of(ENERGY, 1, quantiles=True), "leave out bounds, or choose another format"),
        (of(ENERGY, source=Source.DAILY), 'use the source "units" or "prorated"'),
        (of(ENERGY, group_by=("uuid",)), "cannot group by 'uuid'"),
        (of("x" * 2_000), "of: a text is longer than 1000 characters; shorten it"),
        (of(ENERGY, group_by=tuple(f"tags.{n}" for n in range(21))), "groupBy: 21 values; at most 20"),
    ],
)  # fmt: skip
async def test_what_is_refused(opened: Callable[..., Ceems], question: DistributionQuestion, message: str) -> None:
    with pytest.raises(QuestionError) as refused:
        await ask(opened(energies(1)), question)
    assert message in str(refused.value)


@pytest.mark.parametrize("name", [column.name for column in DERIVED])
async def test_every_calculated_column_is_counted_or_names_another(opened: Callable[..., Ceems], name: str) -> None:
    try:
        await ask(opened(energies(1)), of(f"{name}.total"))
    except QuestionError as refused:
        assert "cannot be counted: use " in str(refused)  # noqa: PT017 - some are counted
    else:
        assert name in {"total_energy_usage_kwh", "total_emissions_gms"}


async def test_counts_are_bounded_before_they_are_made(
    opened: Callable[..., Ceems], monkeypatch: pytest.MonkeyPatch
) -> None:
    ceems = opened([{**row, "username": f"user-{number}"} for number, row in enumerate(energies(*range(30)))])
    monkeypatch.setattr(grouping, "MOST_CELLS", 80)
    assert len(await ask(ceems, of(ENERGY, 1, 2))) == 3
    with pytest.raises(
        QuestionError, match=r"more than 80 cells \(7 groups or more, 1 steps, 3 buckets\): choose fewer"
    ):
        await ask(ceems, of(ENERGY, 1, 2, group_by=("username",)))
    with pytest.raises(QuestionError, match="a longer step"):
        await ask(ceems, of(ENERGY, 1, 2, step=TimeStep.DAY))


async def test_no_units_and_unknown_keys_have_no_counts(opened: Callable[..., Ceems]) -> None:
    ceems = opened(energies(1))
    for question in (of("total_cpu_energy_usage_kwh.nothing"), of("tags.nothing", quantiles=True)):
        answer, *_ = await ceems.distribution(ROOT, question)
        assert answer.table.num_rows == 0
        assert answer.warnings == (f"No unit here has a value of '{question.of}'.",)


async def test_units_of_columns_are_those_of_the_field(opened: Callable[..., Ceems]) -> None:
    answer, *_ = await opened(energies(1)).distribution(ROOT, of(ENERGY, quantiles=True))
    assert answer.column_of("p95").unit == "kWh"
    answer, *_ = await opened([unit(0)]).distribution(ROOT, of("elapsed"))
    assert (answer.column_of("bucket_min").unit, answer.column_of("num_units").unit) == ("s", "count")


async def test_a_row_that_is_superseded_does_not_count(opened: Callable[..., Ceems]) -> None:
    before = unit(
        0,
        started_at="Unknown",
        started_at_ts=0,
        ended_at="Unknown",
        ended_at_ts=0,
        created_at_ts=(WINTER - 4_000) * 1000,
    )
    ceems = opened([before, unit(0, created_at_ts=(WINTER - 4_000) * 1000)])
    assert [number for *_, number in await counts(ceems, of("wait_seconds", 1))] == [1]
