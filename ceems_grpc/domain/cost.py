"""Which questions are large: those whose window, for as many people as they ask about, takes many rows.

How many rows that is differs from site to site, but everybody's day and a user's own fortnight are quick in every
database, and everybody's month is not in a large one. Nothing is measured, so a question always waits in the same lane.
"""

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

LONGEST_SMALL = 1.25 * DAY
"""Seconds of everybody's units that are small work; a day, and what rounding adds to it."""
LONGEST_SMALL_OF_FEW = 14.25 * DAY
"""Seconds of the units of one user, or of the users, projects or units that the question names."""

CostedQuestion = UnitsQuestion | UsageQuestion | UsageOverTimeQuestion | StatsQuestion


def size_of(question: CostedQuestion, *, as_admin: bool) -> Size:
    """Return how much work the question is for somebody who asks as an administrator, or only for the own rows."""
    few = not as_admin or _names_few(question.selection)
    match question:
        case UnitsQuestion() if question.uuids:
            return Size.SMALL
        case UsageQuestion(mode=Mode.GLOBAL):
            return Size.SMALL  # a table with a row per user and project
        case StatsQuestion(mode=Mode.GLOBAL):
            return Size.SMALL if few else Size.LARGE
        case UsageQuestion(source=Source.DAILY) | UsageOverTimeQuestion(source=Source.DAILY) if not _by_hour(question):
            return _within(question.window, 30 * LONGEST_SMALL)  # a row per user, project and day
    return _within(question.window, LONGEST_SMALL_OF_FEW if few else LONGEST_SMALL)


def _by_hour(question: CostedQuestion) -> bool:
    return isinstance(question, UsageOverTimeQuestion) and question.step is TimeStep.HOUR


def _names_few(selection: Selection) -> bool:
    return bool(selection.users or selection.projects)


def _within(window: Window, longest: float) -> Size:
    return Size.SMALL if window.end - window.start <= longest else Size.LARGE
