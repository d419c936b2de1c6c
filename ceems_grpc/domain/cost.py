"""The cost class of a question. It depends on the time range and on the number of people that the question is about."""

from ceems_grpc.domain.questions.model import (
    DistributionQuestion,
    Mode,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
)
from ceems_grpc.store.plan import Table
from ceems_grpc.store.runtime.cost import CostClass, cost_of_rows

CostedQuestion = UnitsQuestion | UsageQuestion | UsageOverTimeQuestion | DistributionQuestion | StatsQuestion


def cost_of(question: CostedQuestion, *, as_admin: bool) -> CostClass:
    """Return the cost of a question. ``as_admin``: it reads rows of all users, and not only the viewer's own."""
    few = not as_admin or _names_few(question.selection)
    span = question.window.end - question.window.start
    match question:
        case UnitsQuestion() if question.uuids:
            return cost_of_rows(Table.UNITS, None, few=True)
        case UsageQuestion(mode=Mode.GLOBAL):
            return cost_of_rows(Table.USAGE, None, few=few)
        case StatsQuestion(mode=Mode.GLOBAL):
            return cost_of_rows(Table.UNITS, None, few=few)
        case UsageQuestion(source=Source.DAILY) | UsageOverTimeQuestion(source=Source.DAILY) if not _by_hour(question):
            return cost_of_rows(Table.DAILY_USAGE, span, few=few)
    return cost_of_rows(Table.UNITS, span, few=few)


def _by_hour(question: CostedQuestion) -> bool:
    return isinstance(question, UsageOverTimeQuestion) and question.step.is_within_day


def _names_few(selection: Selection) -> bool:
    return bool(selection.users or selection.projects)
