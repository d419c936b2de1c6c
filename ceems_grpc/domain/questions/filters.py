"""The selection of rows and free filters of a question, as conditions of a plan."""

import math

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.model import Filter, Selection
from ceems_grpc.store.plan import AllOf, Compare, Condition, In, Key, Operand

_NUMBERS = {"<", "<=", ">", ">="}
_TEXTS = {"=", "!=", "=|", "!=|"}


def selected_rows(selection: Selection, columns: frozenset[str], objects: frozenset[str]) -> Condition:
    """Return the condition for clusters, projects, resource managers and filters; `Access` handles users.

    ``columns``: the plain columns of the table. ``objects``: its JSON columns; filters may name keys of these.
    """
    parts: list[Condition] = []
    for column, values in (
        ("cluster_id", selection.clusters),
        ("project", selection.projects),
        ("resource_manager", selection.resource_managers),
    ):
        if values:
            parts.append(In(column, values))
    parts += [_filter(filter_, columns, objects) for filter_ in selection.filters]
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
        return In(operand, values, negate=operator.startswith("!"))
    raise bad_data(f"filter on '{filter_.key}': unknown operator '{operator}'; use = != =| !=| < <= > >=")


def _operand(key: str, columns: frozenset[str], objects: frozenset[str]) -> Operand:
    if key in columns:
        return key
    head, _, name = key.partition(".")
    if name and head in objects:
        return Key(head, name)
    raise bad_data(f"filter on '{key}': there is no such column here")
