"""Which questions count as large, depending on the users and the length of time that they cover."""

from typing import Any

import pytest

from ceems_grpc.domain.cost import CostedQuestion, cost_of
from ceems_grpc.domain.questions.model import (
    Mode,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
)
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import DAY, Window
from ceems_grpc.store.runtime.cost import CostClass

NOW = 1_764_576_000
ONE_USER = Selection(users=("ann",))


def days(count: float) -> Window:
    return Window(int(NOW - count * DAY), NOW)


@pytest.mark.parametrize("kind", [UnitsQuestion, UsageQuestion, StatsQuestion])
@pytest.mark.parametrize(
    ("asked", "as_admin", "length", "cost"),
    [
        ({}, True, 1, CostClass.SMALL),
        ({}, True, 2, CostClass.LARGE),
        ({}, True, 365, CostClass.LARGE),
        ({"selection": Selection(clusters=("slurm-0",))}, True, 30, CostClass.LARGE),
        ({"selection": ONE_USER}, True, 14, CostClass.SMALL),
        ({"selection": Selection(projects=("alpha",))}, True, 14, CostClass.SMALL),
        ({"selection": ONE_USER}, True, 30, CostClass.LARGE),
        ({}, False, 14, CostClass.SMALL),
        ({}, False, 30, CostClass.LARGE),
    ],
)
def test_everybodys_day_is_small_and_so_is_a_fortnight_of_few(
    kind: Any, asked: dict[str, Any], as_admin: bool, length: float, cost: CostClass
) -> None:
    assert cost_of(kind(days(length), **asked), as_admin=as_admin) is cost


@pytest.mark.parametrize(
    ("question", "cost"),
    [
        (UnitsQuestion(days(365), uuids=("1",)), CostClass.SMALL),
        (UsageQuestion(days(365), Mode.GLOBAL), CostClass.SMALL),
        (StatsQuestion(days(1), Mode.GLOBAL), CostClass.LARGE),
        (StatsQuestion(days(1), Mode.GLOBAL, ONE_USER), CostClass.SMALL),
        (UsageQuestion(days(30), source=Source.DAILY), CostClass.SMALL),
        (UsageQuestion(days(365), source=Source.DAILY), CostClass.LARGE),
        (UsageQuestion(days(1), source=Source.PRORATED), CostClass.SMALL),
        (UsageQuestion(days(30), source=Source.PRORATED), CostClass.LARGE),
        (UsageOverTimeQuestion(days(30)), CostClass.SMALL),
        (UsageOverTimeQuestion(days(365)), CostClass.LARGE),
        (UsageOverTimeQuestion(days(7), step=TimeStep.HOUR), CostClass.LARGE),
        (UsageOverTimeQuestion(days(7), source=Source.UNITS), CostClass.LARGE),
    ],
)
def test_what_is_read_counts_not_how_long_the_window_is(question: CostedQuestion, cost: CostClass) -> None:
    assert cost_of(question, as_admin=True) is cost


def test_a_window_that_ends_before_it_starts_is_small() -> None:
    assert cost_of(UnitsQuestion(Window(NOW + 1, NOW)), as_admin=True) is CostClass.SMALL
