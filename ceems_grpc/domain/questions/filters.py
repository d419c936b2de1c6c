"""The selection of rows and free filters of a question, as conditions of a plan."""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

from ceems_grpc.domain.errors import QuestionError, bad_data
from ceems_grpc.domain.questions.model import Filter, Selection
from ceems_grpc.domain.states import STATE, is_in_state
from ceems_grpc.store.columnar.values import numbers_as_texts
from ceems_grpc.store.plan import AllOf, AnyOf, Compare, Condition, In, Key, Operand

_NUMBERS = {"<", "<=", ">", ">="}
_TEXTS = {"=", "!=", "=|", "!=|"}


_NO_MOMENTS: Mapping[str, str] = {}


def selected_rows(
    selection: Selection,
    columns: frozenset[str],
    objects: frozenset[str],
    moments: Mapping[str, str] = _NO_MOMENTS,
    zone: tzinfo = UTC,
    *,
    numbers: Collection[str] = (),
) -> Condition:
    """Return the condition for clusters, projects, resource managers and filters; `Access` handles users.

    ``columns``: the plain columns of the table. ``objects``: its JSON columns; filters may name keys of these.
    ``moments``: columns of local times, each with the column that has the same moment in milliseconds. ``zone``: that
    of times without an offset in filters on these. ``numbers``: plain columns whose texts are read as numbers.
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
        if filter_.key in moments:
            parts.append(_moment_filter(filter_, moments[filter_.key], zone))
        elif filter_.key in numbers and filter_.operator in _TEXTS:
            parts.append(_filter(replace(filter_, values=numbers_as_texts(filter_.values)), columns, objects))
        else:
            parts.append(_filter(filter_, columns, objects))
    return AllOf(tuple(parts))


def _filter(filter_: Filter, columns: frozenset[str], objects: frozenset[str]) -> Condition:
    operand = _operand(filter_.key, columns, objects)
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
    return bad_data(f"filter on '{filter_.key}': unknown operator '{filter_.operator}'; use = != =| !=| < <= > >=")


def _operand(key: str, columns: frozenset[str], objects: frozenset[str]) -> Operand:
    if key in columns:
        return key
    head, _, name = key.partition(".")
    if name and head in objects:
        return Key(head, name)
    raise bad_data(f"filter on '{key}': there is no such column here")
