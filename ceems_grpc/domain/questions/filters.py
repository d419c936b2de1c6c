"""The selection of rows and free filters of a question, as conditions of a plan."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

from ceems_grpc.domain.errors import QuestionError, bad_data
from ceems_grpc.domain.questions.model import Filter, Selection
from ceems_grpc.domain.states import STATE, is_in_state
from ceems_grpc.store.columnar.values import numbers_as_texts
from ceems_grpc.store.plan import AllOf, AnyOf, Compare, Condition, In, Key, Operand

_NUMBERS = {"<", "<=", ">", ">="}
_TEXTS = {"=", "!=", "=|", "!=|"}
_PATTERNS = {"=~", "!~"}


@dataclass(frozen=True, slots=True)
class Filterable:
    """The columns of a table that filters may name.

    ``plain``: the plain columns. ``objects``: the JSON columns; filters name keys of these. ``moments``: columns of
    local times, each with the column that has the same moment in milliseconds. ``zone``: that of times without an
    offset in filters on these. ``numbers``: plain columns whose texts are read as numbers.
    ``renamed``: plain columns that units have too, with another meaning; filters of a dashboard do not mean these.
    """

    plain: frozenset[str]
    objects: frozenset[str] = frozenset()
    moments: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo = UTC
    numbers: Collection[str] = ()
    renamed: frozenset[str] = frozenset()

    def has(self, key: str) -> bool:
        """Return whether a filter may name the key."""
        head, _, name = key.partition(".")
        return key in self.plain or key in self.moments or bool(name and head in self.objects)

    def is_meant(self, filter_: Filter) -> bool:
        """Return whether a filter counts here: one of the dashboard only if the column means what it means there."""
        return not filter_.ad_hoc or (self.has(filter_.key) and filter_.key not in self.renamed)


def is_pattern(filter_: Filter) -> bool:
    """Return whether the filter matches texts with a regular expression."""
    return filter_.operator in _PATTERNS


def selected_rows(selection: Selection, among: Filterable) -> Condition:
    """Return the condition for clusters, projects, resource managers and filters; `Access` handles users.

    Patterns are only checked, since they need values: see `ceems_grpc.domain.answers.filtering`.
    """
    parts: list[Condition] = []
    for column, values in (
        ("cluster_id", selection.clusters),
        ("project", selection.projects),
        ("resource_manager", selection.resource_managers),
    ):
        if values:
            parts.append(In(column, values))
    for filter_ in selection.filters:
        if is_pattern(filter_):
            _check_pattern(filter_, among)
        elif filter_.key in among.moments:
            parts.append(_moment_filter(filter_, among.moments[filter_.key], among.zone))
        elif filter_.key in among.numbers and filter_.operator in _TEXTS:
            parts.append(_filter(replace(filter_, values=numbers_as_texts(filter_.values)), among))
        else:
            parts.append(_filter(filter_, among))
    return AllOf(tuple(parts))


def operand_of(key: str, among: Filterable) -> Operand:
    """Return the column or the key of a column that a filter names. Raises a bad_data error if there is none."""
    if not among.has(key):
        raise bad_data(f"filter on '{key}': there is no such column here")
    if key in among.plain or key in among.moments:
        return key
    head, _, name = key.partition(".")
    return Key(head, name)


def _check_pattern(filter_: Filter, among: Filterable) -> None:
    operand_of(filter_.key, among)
    if len(filter_.values) != 1:
        raise bad_data(f"filter on '{filter_.key}': '{filter_.operator}' needs one regular expression")


def _filter(filter_: Filter, among: Filterable) -> Condition:
    operand = operand_of(filter_.key, among)
    operator, values = filter_.operator, filter_.values
    if operator in _NUMBERS:
        try:
            number = float(values[0]) if len(values) == 1 else None
        except ValueError:
            number = None
        if number is None or not math.isfinite(number):
            raise bad_data(f"filter on '{filter_.key}': '{operator}' needs one number")
        return Compare(operand, operator, number)
    if operator in _TEXTS:
        negate = operator.startswith("!")
        return is_in_state(values, negate=negate) if operand == STATE else In(operand, values, negate)
    raise _unknown_operator(filter_)


def _moment_filter(filter_: Filter, milliseconds: str, zone: tzinfo) -> Condition:
    """Compare moments. Equality also compares with the text that the database has, such as ``Unknown``."""
    operator, values = filter_.operator, filter_.values
    moments = [_milliseconds(value, zone) for value in values]
    if operator in _TEXTS:
        negate = operator.startswith("!")
        numbers = tuple(str(moment) for moment in moments if moment)
        either = (In(filter_.key, values, negate), In(milliseconds, numbers, negate))
        return AllOf(either) if negate else AnyOf(either)
    if operator not in _NUMBERS:
        raise _unknown_operator(filter_)
    if len(moments) != 1 or moments[0] is None:
        raise bad_data(
            f"filter on '{filter_.key}': '{operator}' needs one time, such as 2026-01-31T08:00:00Z, or milliseconds"
            " since 1970"
        )
    # 0 means that there is no moment.
    return AllOf((Compare(milliseconds, operator, float(moments[0])), Compare(milliseconds, ">", 0)))


def _milliseconds(value: str, zone: tzinfo) -> int | None:
    """Return the milliseconds that a number or an ISO 8601 text means; None for other texts."""
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(value.strip())
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _unknown_operator(filter_: Filter) -> QuestionError:
    return bad_data(
        f"filter on '{filter_.key}': unknown operator '{filter_.operator}'; use = != =| !=| =~ !~ < <= > >="
    )
