"""Computed columns of Infinity as fields of our query or as calculations of the panel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from math import isclose

from ceems_grpc.domain.columns import DERIVED
from ceems_grpc.migrate.expressions.evaluation import evaluate
from ceems_grpc.migrate.expressions.tree import Choose, Expression, Literal, Name, Not, Operation
from ceems_grpc.migrate.queries.fields import QueryField
from ceems_grpc.migrate.report import CannotRewriteError, Json
from ceems_grpc.schema import Column

_DERIVED: dict[str, Column] = {column.name: column for column in DERIVED}
_NOW = "now"
_PANEL_END = ("${__to}", "$__to", _NOW)
"""Names that mean the end of the panel's time range, or the present."""


@dataclass(slots=True)
class Computed:
    """A rewritten computed column: one field, or ``steps`` (transformations) that compute it.

    ``dropped``: helper columns to remove after all columns are computed.
    """

    sum: QueryField | None = None
    steps: list[Json] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    overrides: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def together(left: str, right: str) -> tuple[str, Column] | None:
    """Return the derived field for the sum of two fields, if they are a CPU and a GPU metric with the same key."""
    first, _, key = left.partition(".")
    second, _, other = right.partition(".")
    if key != other or {_half(first), _half(second)} != {"cpu", "gpu"}:
        return None
    name = first.replace("total_cpu_", "total_").replace("total_gpu_", "total_")
    if name != second.replace("total_cpu_", "total_").replace("total_gpu_", "total_") or name not in _DERIVED:
        return None
    return f"{name}.{key}", _DERIVED[name]


def _half(name: str) -> str:
    return "cpu" if name.startswith("total_cpu_") else "gpu" if name.startswith("total_gpu_") else ""


def compute(alias: str, expression: Expression, find: Callable[[str], QueryField]) -> Computed:
    """Rewrite a computed column: a sum of CPU and GPU metrics, arithmetic, or an end of a unit's time range."""
    match expression:
        case Operation("+", Name(left), Name(right)):
            if (sum_ := together(find(left).name, find(right).name)) is not None:
                return Computed(QueryField(sum_[0], alias, "number", sum_[1]))
    if _has_choice(expression):
        return _time_range(alias, expression, find)
    computed = Computed()
    operand = _arithmetic(alias, expression, find, computed, outermost=True)
    if "fixed" in operand or operand.get("matcher", {}).get("options") != alias:
        raise CannotRewriteError(f"the computed column '{alias}' only repeats another one")
    return computed


def binary(alias: str, left: Json, operator: str, right: Json) -> Json:
    """Return Grafana's transformation for an operation on two operands."""
    options = {"alias": alias, "mode": "binary", "replaceFields": False}
    return {
        "id": "calculateField",
        "options": options | {"binary": {"left": left, "operator": operator, "right": right}},
    }


def by_name(name: str) -> Json:
    """Return an operand of `binary` that is a column."""
    return {"matcher": {"id": "byName", "options": name}}


def _arithmetic(
    alias: str,
    expression: Expression,
    find: Callable[[str], QueryField],
    computed: Computed,
    *,
    outermost: bool = False,
) -> Json:
    match expression:
        case Literal(float() as number):
            return {"fixed": f"{number:g}" if number != int(number) else str(int(number))}
        case Name(name) if name.startswith(("$", "[[")):
            return {"fixed": name}
        case Name(name):
            column = find(name)
            if not column.is_number or column.is_object:
                raise CannotRewriteError(f"the computed column '{alias}' counts with '{name}', which is not a number")
            return by_name(column.text)
        case Operation(("+" | "-" | "*" | "/") as operator, left, right):
            operands = [_arithmetic(alias, side, find, computed) for side in (left, right)]
            name = alias if outermost else f"{alias} (part {len(computed.dropped) + 1})"
            if not outermost:
                computed.dropped.append(name)
            computed.steps.append(binary(name, operands[0], operator, operands[1]))
            return by_name(name)
    raise CannotRewriteError(f"the expression of the computed column '{alias}' is not understood")


def _has_choice(expression: Expression) -> bool:
    match expression:
        case Choose():
            return True
        case Operation(_, left, right):
            return _has_choice(left) or _has_choice(right)
        case Not(inside):
            return _has_choice(inside)
        case _:
            return False


def _time_range(alias: str, expression: Expression, find: Callable[[str], QueryField]) -> Computed:
    """Make the start or the end of a unit's time range, for links. Its values show which of the two it is."""
    expression = _without_now(expression)
    started, ended = _texts(expression, find, "started_at_ts"), _texts(expression, find, "ended_at_ts")
    if _agrees(expression, started, ended, lambda _start, end: end):
        return _end(alias, find("ended_at_ts").text)
    for span in sorted({span for span in _numbers(expression) if span >= 60_000}):
        if _agrees(expression, started, ended, _latest(span)):
            return _start(alias, find("started_at_ts").text, find("ended_at_ts").text, span)
    raise CannotRewriteError(f"the expression of the computed column '{alias}' is not understood")


def _without_now(expression: Expression) -> Expression:
    """Write ``ended_at_ts == now``, which asks whether a unit runs, as a comparison with 0, its end while it runs."""
    match expression:
        case Operation(("==" | "!=") as operator, Name(column), Name("now")) if column != _NOW:
            return Operation(operator, Name(column), Literal(0.0))
        case Operation(("==" | "!=") as operator, Name("now"), Name(column)) if column != _NOW:
            return Operation(operator, Name(column), Literal(0.0))
        case Operation(operator, left, right):
            return Operation(operator, _without_now(left), _without_now(right))
        case Not(inside):
            return Not(_without_now(inside))
        case Choose(condition, then, otherwise):
            return Choose(_without_now(condition), _without_now(then), _without_now(otherwise))
        case _:
            return expression


def _latest(span: float) -> Callable[[float, float], float]:
    return lambda start, end: max(start, end - span)


def _end(alias: str, ended: str) -> Computed:
    copy = binary(alias, by_name(ended), "+", {"fixed": "0"})
    return Computed(steps=[copy], overrides=[while_running(alias)])


def _start(alias: str, started: str, ended: str, span: float) -> Computed:
    helper = f"{alias} (part 1)"
    reduce = {"reducer": "max", "include": [started, helper]}
    latest = {"alias": alias, "mode": "reduceRow", "reduce": reduce, "replaceFields": False}
    steps = [
        binary(helper, by_name(ended), "-", {"fixed": str(int(span))}),
        {"id": "calculateField", "options": latest},
    ]
    note = f"the computed column '{alias}' is the start of the unit while it runs, not a time before the panel's end"
    return Computed(steps=steps, dropped=[helper], notes=[note])


def while_running(name: str) -> Json:
    """Return the override that shows the missing end of a unit (0 milliseconds) as ``now``, which links understand."""
    mapping = {"type": "value", "options": {"0": {"index": 0, "text": "now"}}}
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "mappings", "value": [mapping]}]}


def _texts(expression: Expression, find: Callable[[str], QueryField], column: str) -> set[str]:
    names = {name for name in _names(expression) if name not in _PANEL_END}
    return {name for name in names if find(name).name == column}


def _agrees(
    expression: Expression, started: set[str], ended: set[str], wanted: Callable[[float, float], float]
) -> bool:
    day = 86_400_000.0
    for start, length, to in product((5 * day, 30 * day), (0.0, 3.6e6, day, 9 * day), (40 * day, 41.5 * day)):
        end = start + length if length else 0.0
        values = dict.fromkeys(started, start) | dict.fromkeys(ended, end) | dict.fromkeys(_PANEL_END, to)
        try:
            result = evaluate(expression, values)
        except KeyError:
            return False
        if not isclose(result, wanted(start, end or to)):
            return False
    return True


def _walk(expression: Expression) -> Iterator[Expression]:
    yield expression
    match expression:
        case Choose(condition, then, otherwise):
            parts: tuple[Expression, ...] = (condition, then, otherwise)
        case Operation(_, left, right):
            parts = (left, right)
        case Not(inside):
            parts = (inside,)
        case _:
            parts = ()
    for part in parts:
        yield from _walk(part)


def _names(expression: Expression) -> list[str]:
    return [part.text for part in _walk(expression) if isinstance(part, Name)]


def _numbers(expression: Expression) -> list[float]:
    return [part.value for part in _walk(expression) if isinstance(part, Literal) and isinstance(part.value, float)]
