"""Usage over time from units: for all lengths of step, the steps add up to the prorated usage of the window."""

import asyncio
import json
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.columns import USAGE_COLUMNS
from ceems_grpc.domain.questions.model import Selection, Source, UsageOverTimeQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.steps import TimeStep, fitting_step, steps_of
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.panels.frames import series_frames
from ceems_grpc.panels.query_model import Room, question_of, read_query
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.places import SYNTHETIC

FIRST, LAST = 1_763_700_000, 1_767_250_000  # the time that the database covers, and a little more
ADMIN = Viewer("admin")
FIELDS = ("num_units", "total_energy_usage_kwh.total", "total_time_seconds.walltime", "total_emissions_gms.rte_total")
ZONES = st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])


@settings(max_examples=25, deadline=None)
@given(
    start=st.integers(FIRST, LAST),
    length=st.integers(0, 20 * 86_400),
    step=st.sampled_from(TimeStep),
    zone=ZONES,
    groups=st.sampled_from([(), ("cluster_id",), ("project", "username")]),
)
def test_steps_add_up_to_the_usage_of_the_window(
    start: int, length: int, step: TimeStep, zone: str, groups: tuple[str, ...]
) -> None:
    window = Window(start, start + length)

    async def ask() -> tuple[pa.Table, pa.Table]:
        ceems = Ceems(SqliteStore(SYNTHETIC))
        try:
            over_time, _ = await ceems.usage_over_time(
                ADMIN,
                UsageOverTimeQuestion(
                    window, step, ZoneInfo(zone), Source.UNITS, Selection(), groups, FIELDS, admin=True
                ),
            )
            whole = await ceems.usage(
                ADMIN,
                UsageQuestion(
                    window,
                    source=Source.PRORATED,
                    group_by=groups,
                    exact_groups=True,
                    fields=(*groups, *FIELDS),
                    admin=True,
                ),
            )
            return over_time.table, whole.table
        finally:
            await ceems.close()

    steps, whole = asyncio.run(ask())
    assert _sums(steps, groups) == {
        group: pytest.approx(values, rel=1e-9, abs=1e-9) for group, values in _sums(whole, groups).items()
    }


def _sums(table: pa.Table, groups: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, float]]:
    sums: dict[tuple[str, ...], dict[str, float]] = {}
    for row in table.to_pylist():
        group = sums.setdefault(tuple(row[name] for name in groups), dict.fromkeys(FIELDS, 0.0))
        for name in FIELDS:
            group[name] += row.get(name) or 0
    return sums


@given(
    start=st.integers(0, 2_000_000_000), length=st.integers(0, 400 * 86_400), zone=ZONES, step=st.sampled_from(TimeStep)
)
def test_steps_cover_the_window_without_gaps(start: int, length: int, zone: str, step: TimeStep) -> None:
    if step in {TimeStep.QUARTER_HOUR, TimeStep.HOUR}:
        length = min(length, 30 * 86_400)
    window = Window(start, start + length)
    steps = steps_of(window, step, ZoneInfo(zone))
    assert steps.starts[0] <= window.start
    assert steps.end > window.end
    assert list(steps.starts) == sorted(set(steps.starts))
    assert all(steps.index(moment) == position for position, moment in enumerate(steps.starts))
    assert steps.starts[-1] <= window.end


def test_the_hour_that_happens_twice_is_two_steps() -> None:
    # Clocks went back in Paris on 26 October 2025 at 01:00 UTC: a day of 25 hours.
    day = Window(1_761_429_600, 1_761_429_600 + 25 * 3600 - 1)
    assert len(steps_of(day, TimeStep.HOUR, ZoneInfo("Europe/Paris")).starts) == 25
    assert len(steps_of(day, TimeStep.QUARTER_HOUR, ZoneInfo("Europe/Paris")).starts) == 100
    assert len(steps_of(day, TimeStep.DAY, ZoneInfo("Europe/Paris")).starts) == 1


DAYS = 86_400


@pytest.mark.parametrize(
    ("length", "interval", "most", "shortest", "step"),
    [
        (3_600, 0, 0, "quarter-hour", "quarter-hour"),
        (3_600, 15, 1_000, "quarter-hour", "quarter-hour"),
        (1 * DAYS, 120, 700, "quarter-hour", "quarter-hour"),
        (7 * DAYS, 600, 1_000, "quarter-hour", "quarter-hour"),
        (7 * DAYS, 1_200, 500, "quarter-hour", "hour"),
        (7 * DAYS, 900, 500, "quarter-hour", "hour"),  # 900 s is rounded: 672 steps do not fit in 500 points
        (30 * DAYS, 5_400, 480, "quarter-hour", "day"),
        (30 * DAYS, 0, 0, "quarter-hour", "day"),
        (30 * DAYS, 0, 20, "quarter-hour", "week"),
        (730 * DAYS, 0, 480, "quarter-hour", "week"),
        (3_650 * DAYS, 0, 100, "quarter-hour", "month"),
        (3_650 * DAYS, 0, 1, "quarter-hour", "month"),
        (3_600, 15, 1_000, "day", "day"),
        (3_600, 3_601, 1_000, "quarter-hour", "day"),
        (0, 0, 0, "hour", "hour"),
        (-5, 0, 0, "quarter-hour", "quarter-hour"),
    ],
)
def test_an_automatic_step_fits_the_chart(length: int, interval: float, most: int, shortest: str, step: str) -> None:
    window = Window(LAST, LAST + length)
    assert fitting_step(window, interval=interval, most=most, shortest=TimeStep(shortest)) == step


@given(length=st.integers(0, 100 * 365 * DAYS), most=st.integers(0, 5_000))
def test_an_automatic_step_never_has_too_many(length: int, most: int) -> None:
    window = Window(0, length)
    step = fitting_step(window, most=most)
    assert step is TimeStep.MONTH or len(steps_of(window, step, ZoneInfo("UTC")).starts) <= (most or 500) + 2


def test_the_time_of_a_single_step_is_in_the_range() -> None:
    window = Window(1_761_476_400 + 50_000, 1_761_476_400 + 53_600)
    steps = steps_of(window, TimeStep.DAY, ZoneInfo("UTC"))
    answer = Answer(
        pa.table({"step": pa.array([0], pa.int64()), "num_units": pa.array([3], pa.int64())}),
        {column.name: column for column in USAGE_COLUMNS},
    )
    (frame,) = series_frames("x", answer, (), steps, wide=True, start=window.start)
    assert frame.fields[0].data.cast(pa.int64()).to_pylist() == [window.start * 1000]
    assert frame.fields[0].config is not None
    assert frame.fields[0].config.interval == DAYS * 1000


@pytest.mark.parametrize(
    ("query", "step"),
    [
        ({}, "day"),
        ({"version": 2}, "day"),
        ({"version": 3}, "hour"),
        ({"step": "auto"}, "hour"),
        ({"version": 3, "minStep": "week"}, "week"),
        ({"version": 3, "step": "quarter-hour", "minStep": "week"}, "quarter-hour"),
    ],
)
def test_which_step_a_query_has(query: dict[str, str | int], step: str) -> None:
    model, kind = read_query(json.dumps({"queryType": "usage-over-time", **query}).encode())
    question = question_of(model, kind, Window(LAST, LAST + 7 * DAYS), Room(500, 1_200))
    assert isinstance(question, UsageOverTimeQuestion)
    assert question.step == step
