"""How much work a question is: a long window over many users reads many rows.

The number of rows differs between sites. One day of all users and two weeks of one user are quick in every database;
one month of all users is slow in a large one. Nothing is measured, so equal questions always wait in the same lane.
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
"""The longest window, in seconds, over which the units of all users are small work: a day and its rounding."""
LONGEST_SMALL_OF_FEW = 14.25 * DAY
"""The same for one user, or for the users and projects that the question names."""

CostedQuestion = UnitsQuestion | UsageQuestion | UsageOverTimeQuestion | StatsQuestion


def size_of(question: CostedQuestion, *, as_admin: bool) -> Size:
    """Return how much work the question is. ``as_admin``: for an administrator, otherwise for a user's own rows."""
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
