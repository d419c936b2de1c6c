"""Which questions are large, by whom they ask about and over how long."""

from typing import Any

import pytest

from ceems_grpc.domain.cost import CostedQuestion, size_of
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
from ceems_grpc.store.runtime.admission import Size

NOW = 1_764_576_000
ONE_USER = Selection(users=("ann",))


def days(count: float) -> Window:
    return Window(int(NOW - count * DAY), NOW)


@pytest.mark.parametrize("kind", [UnitsQuestion, UsageQuestion, StatsQuestion])
@pytest.mark.parametrize(
    ("asked", "as_admin", "length", "size"),
    [
        ({}, True, 1, Size.SMALL),
        ({}, True, 2, Size.LARGE),
        ({}, True, 365, Size.LARGE),
        ({"selection": Selection(clusters=("slurm-0",))}, True, 30, Size.LARGE),
        ({"selection": ONE_USER}, True, 14, Size.SMALL),
        ({"selection": Selection(projects=("alpha",))}, True, 14, Size.SMALL),
        ({"selection": ONE_USER}, True, 30, Size.LARGE),
        ({}, False, 14, Size.SMALL),
        ({}, False, 30, Size.LARGE),
    ],
)
def test_everybodys_day_is_small_and_so_is_a_fortnight_of_few(
    kind: Any, asked: dict[str, Any], as_admin: bool, length: float, size: Size
) -> None:
    assert size_of(kind(days(length), **asked), as_admin=as_admin) is size


@pytest.mark.parametrize(
    ("question", "size"),
    [
        (UnitsQuestion(days(365), uuids=("1",)), Size.SMALL),
        (UsageQuestion(days(365), Mode.GLOBAL), Size.SMALL),
        (StatsQuestion(days(1), Mode.GLOBAL), Size.LARGE),
        (StatsQuestion(days(1), Mode.GLOBAL, ONE_USER), Size.SMALL),
        (UsageQuestion(days(30), source=Source.DAILY), Size.SMALL),
        (UsageQuestion(days(365), source=Source.DAILY), Size.LARGE),
        (UsageOverTimeQuestion(days(30)), Size.SMALL),
        (UsageOverTimeQuestion(days(365)), Size.LARGE),
        (UsageOverTimeQuestion(days(7), step=TimeStep.HOUR), Size.LARGE),
        (UsageOverTimeQuestion(days(7), source=Source.UNITS), Size.LARGE),
    ],
)
def test_what_is_read_counts_not_how_long_the_window_is(question: CostedQuestion, size: Size) -> None:
    assert size_of(question, as_admin=True) is size


def test_a_window_that_ends_before_it_starts_is_small() -> None:
    assert size_of(UnitsQuestion(Window(NOW + 1, NOW)), as_admin=True) is Size.SMALL
