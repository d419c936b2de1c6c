"""Limits on how much a question may name and how large an answer may be; see docs/query.md, "Limits".

The limits are far above what a dashboard needs. They keep one user's question from taking the time or the memory of
all others. Every question is checked here before any work is done.
"""

from collections.abc import Iterable, Sequence

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.model import (
    DirectoryQuestion,
    DistributionQuestion,
    OrderBy,
    Selection,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
)

MOST_FIELDS = 500
MOST_ORDERS = 20
MOST_FILTERS = 100
MOST_GROUPS = 20
MOST_VALUES = 5_000  # of one list
MOST_CHARACTERS = 1_000  # of one text
MOST_TEXT = 512 * 1024  # characters of all texts of a question
MOST_CELLS = 8_000_000  # of a table: rows times columns
MOST_SERIES = 5_000
MOST_SERIES_CELLS = 2_000_000  # of series: series times steps

LimitedQuestion = (
    UnitsQuestion | UsageQuestion | UsageOverTimeQuestion | DistributionQuestion | StatsQuestion | DirectoryQuestion
)


def check_limits(question: LimitedQuestion) -> None:
    """Raise a bad_data error that says what to shorten in a question that names too much."""
    total = _selection_characters(question.selection)
    if isinstance(question, DistributionQuestion):
        total += _characters("of", (question.of,))
    else:
        _check_count("fields", question.fields, MOST_FIELDS)
        total += _characters("fields", question.fields)
    if not isinstance(question, UsageOverTimeQuestion | DistributionQuestion):
        _check_count("orderBy", question.order, MOST_ORDERS)
        total += _characters("orderBy", tuple(order.field for order in question.order))
    if isinstance(question, UsageQuestion | UsageOverTimeQuestion | DistributionQuestion):
        groups = tuple(dict.fromkeys(question.group_by))
        _check_count("groupBy", groups, MOST_GROUPS)
        total += _characters("groupBy", groups)
    if isinstance(question, UnitsQuestion):
        total += _characters("uuids", question.uuids) + _characters("states", question.states)
    if total > MOST_TEXT:
        raise bad_data(f"the question has {total} characters of text; at most {MOST_TEXT}: name fewer values")


def distinct_orders(order: Iterable[OrderBy]) -> tuple[OrderBy, ...]:
    """Return the criteria without repetitions: only the first one with a given field has an effect."""
    first: dict[str, OrderBy] = {}
    for item in order:
        first.setdefault(item.field, item)
    return tuple(first.values())


def check_cells(rows: int, columns: int) -> None:
    """Raise a bad_data error for a table of too many cells, before it is made."""
    if rows * columns > MOST_CELLS:
        raise bad_data(
            f"the answer would have {rows * columns} cells ({rows} rows of {columns} columns); at most {MOST_CELLS}: "
            "choose fewer fields, a shorter time range, or a limit"
        )


def check_series(series: int, steps: int) -> None:
    """Raise a bad_data error for too many series or too many cells of series, before they are made."""
    if series > MOST_SERIES:
        raise bad_data(f"the answer would have {series} series; at most {MOST_SERIES}: choose fewer fields or groups")
    if series * steps > MOST_SERIES_CELLS:
        raise bad_data(
            f"the answer would have {series * steps} cells ({series} series of {steps} steps); "
            f"at most {MOST_SERIES_CELLS}: choose a longer step, a shorter time range, or fewer fields or groups"
        )


def _selection_characters(selection: Selection) -> int:
    _check_count("filters", selection.filters, MOST_FILTERS)
    total = sum(
        _characters(name, texts)
        for name, texts in (
            ("clusters", selection.clusters),
            ("projects", selection.projects),
            ("users", selection.users),
            ("resourceManagers", selection.resource_managers),
        )
    )
    for one in selection.filters:
        total += _characters("filters", (one.key, one.operator)) + _characters("filters", one.values)
    return total


def _characters(what: str, texts: tuple[str, ...]) -> int:
    """Return the number of characters. Raises an error for too many or too long texts."""
    _check_count(what, texts, MOST_VALUES)
    if max(map(len, texts), default=0) > MOST_CHARACTERS:
        raise bad_data(f"{what}: a text is longer than {MOST_CHARACTERS} characters; shorten it")
    return sum(map(len, texts))


def _check_count(what: str, items: Sequence[object], most: int) -> None:
    if len(items) > most:
        raise bad_data(f"{what}: {len(items)} values; at most {most}: name fewer")
