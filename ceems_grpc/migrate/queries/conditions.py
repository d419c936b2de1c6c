"""Filters of Infinity as filters of our queries, or as transformations if our filters would differ."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ceems_grpc.migrate.expressions.tree import Expression, Literal, Name, Not, OneOf, Operation
from ceems_grpc.migrate.json_parts import objects
from ceems_grpc.migrate.queries.fields import QueryField
from ceems_grpc.migrate.report import CannotRewriteError, Json
from ceems_grpc.schema import GROUPS, Kind

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_GRAFANA = {
    "<": "lower",
    "<=": "lowerOrEqual",
    ">": "greater",
    ">=": "greaterOrEqual",
    "==": "equal",
    "!=": "notEqual",
}
_DIRECTORY = frozenset({"cluster_id", "resource_manager", "name", "uid"})
_TEXT_COLUMNS: dict[str, frozenset[str]] = {
    "usage": frozenset(GROUPS),
    "stats": frozenset({"cluster_id", "resource_manager"}),
    "users": _DIRECTORY,
    "projects": _DIRECTORY,
    "clusters": frozenset(),
}
_FRONTEND = {
    "equals": "==",
    "notequals": "!=",
    "==": "==",
    "!=": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}


@dataclass(frozen=True, slots=True)
class _Comparison:
    field: QueryField
    operator: str
    values: tuple[str | float | None, ...]


@dataclass(slots=True)
class RewrittenFilters:
    """Rewritten filters: ``filters`` of the query, and ``steps``, which are transformations of the panel."""

    filters: list[Json] = field(default_factory=list)
    steps: list[Json] = field(default_factory=list)


def frontend_filters(filters: Any) -> Expression | None:  # noqa: ANN401 - from the dashboard
    """Read the filters that Infinity applies in the frontend. All of them must hold."""
    whole: Expression | None = None
    for item in objects(filters):
        held = item.get("value")
        operator, values = (
            str(item.get("operator", "")),
            [str(value) for value in held] if isinstance(held, list) else [],
        )
        column = Name(str(item.get("field", "")))
        part: Expression
        if operator in {"in", "notin"} and values:
            part = OneOf(column, tuple(Literal(value.strip()) for value in ",".join(values).split(",")))
            part = Not(part) if operator == "notin" else part
        elif operator in _FRONTEND and len(values) == 1:
            part = Operation(_FRONTEND[operator], column, _constant(values[0]))
        else:
            raise CannotRewriteError(f"the filter '{operator}' on '{column.text}' has no counterpart")
        whole = part if whole is None else Operation("&&", whole, part)
    return whole


def _constant(text: str) -> Literal:
    try:
        return Literal(float(text))
    except ValueError:
        return Literal(text)


def read_conditions(query_type: str, expression: Expression, find: Callable[[str], QueryField]) -> RewrittenFilters:
    """Turn an expression into filters. ``find`` returns the field for a column's name or display text.

    Numbers of usage are compared after summing. Only the panel can do that, so these filters become a transformation.
    """
    conditions = RewrittenFilters()
    after: list[_Comparison] = []
    for part in _parts(expression, "&&"):
        either = [_comparison(inner, find) for inner in _parts(part, "||")]
        joined = _joined(either)
        if joined is None:
            conditions.steps.append(_filter_by_value(either, "any"))
        elif (condition := _own_filter(query_type, joined)) is not None:
            conditions.filters.append(condition)
        else:
            after.append(joined)
    if after:
        conditions.steps.append(_filter_by_value(after, "all"))
    return conditions


def _parts(expression: Expression, operator: str) -> list[Expression]:
    match expression:
        case Operation(found, left, right) if found == operator:
            return _parts(left, operator) + _parts(right, operator)
        case Not(Operation(found, left, right)) if {found, operator} == {"&&", "||"}:
            return _parts(Not(left), operator) + _parts(Not(right), operator)
        case Not(Not(inside)):
            return _parts(inside, operator)
        case _:
            return [expression]


def _comparison(expression: Expression, find: Callable[[str], QueryField]) -> _Comparison:
    match expression:
        case Not(inside):
            positive = _comparison(inside, find)
            if positive.field.is_number and positive.operator not in {"==", "!="}:
                raise CannotRewriteError("its filter negates a comparison of numbers")
            return _Comparison(positive.field, _NEGATED[positive.operator], positive.values)
        case Operation(operator, Name(name), Literal(value)) if operator in _FLIPPED and not isinstance(value, bool):
            return _Comparison(find(name), operator, (value,))
        case Operation(operator, Literal(value), Name(name)) if operator in _FLIPPED and not isinstance(value, bool):
            return _Comparison(find(name), _FLIPPED[operator], (value,))
        case Operation(operator, Name(name), Name(variable)) if operator in _FLIPPED and variable.startswith("$"):
            return _Comparison(find(name), operator, (variable,))
        case OneOf(Name(name), among):
            return _Comparison(find(name), "==", tuple(_member(item) for item in among))
    raise CannotRewriteError("its filter is more than comparisons of columns with constants")


def _member(item: Expression) -> str | float | None:
    match item:
        case Literal(str() | float() as value):
            return value
        case Name(variable) if variable.startswith("$"):
            return variable.replace(":singlequote}", "}").replace(":doublequote}", "}")
    raise CannotRewriteError("its filter has something else than constants in a list")


def _joined(either: list[_Comparison]) -> _Comparison | None:
    """Join ``a = 1 or a = 2`` into one comparison; None for any other alternatives."""
    first = either[0]
    if len(either) == 1:
        return first
    if any(part.operator != "==" or part.field.name != first.field.name for part in either):
        return None
    return _Comparison(first.field, "==", tuple(value for part in either for value in part.values))


def _own_filter(query_type: str, part: _Comparison) -> Json | None:
    """Return the filter of our query; None if the panel must compare."""
    name, values = part.field.name, part.values
    if None in values or part.field.is_object:
        return None
    if part.operator in {"==", "!="}:
        texts = [str(value) for value in values if isinstance(value, str)]
        if len(texts) != len(values) or not _is_text(query_type, part.field):
            return None
        operator = "=" if part.operator == "==" else "!="
        if len(texts) == 1:
            return {"key": name, "operator": operator, "value": texts[0]}
        return {"key": name, "operator": operator + "|", "value": texts}
    if query_type != "units" or part.field.column.kind not in {Kind.METRIC, Kind.ALLOCATION}:
        return None
    return {"key": name, "operator": part.operator, "value": values[0]}


def _is_text(query_type: str, field_: QueryField) -> bool:
    if query_type == "units":
        return field_.column.kind in {Kind.IDENTITY, Kind.TAG}
    return field_.name in _TEXT_COLUMNS[query_type]


def _filter_by_value(parts: list[_Comparison], match: str) -> Json:
    filters: list[Json] = []
    for part in parts:
        if len(part.values) != 1 and match == "all":
            raise CannotRewriteError(f"its filter compares '{part.field.text}' with several values")
        filters += [_filter(part, value) for value in part.values]
    return {"id": "filterByValue", "options": {"type": "include", "match": match, "filters": filters}}


def _filter(part: _Comparison, value: str | float | None) -> Json:
    if value is None:
        return {"fieldName": part.field.text, "config": {"id": "isNull" if part.operator == "==" else "isNotNull"}}
    config = {"id": _GRAFANA[part.operator], "options": {"value": value}}
    return {"fieldName": part.field.text, "config": config}
