"""Evaluation of an expression over numbers."""

from collections.abc import Mapping

from ceems_grpc.migrate.expressions.tree import Choose, Expression, Literal, Name, Not, Operation
from ceems_grpc.migrate.report import CannotRewriteError


def evaluate(expression: Expression, values: Mapping[str, float]) -> float | bool:
    """Compute an expression over numbers; a name that is not among them is a `KeyError`."""
    match expression:
        case Name(text):
            return values[text]
        case Literal(bool() | int() | float() as number):
            return number
        case Choose(condition, then, otherwise):
            return evaluate(then if evaluate(condition, values) else otherwise, values)
        case Not(inside):
            return not evaluate(inside, values)
        case Operation(operator, left, right):
            return _compute(operator, evaluate(left, values), evaluate(right, values))
        case _:
            raise CannotRewriteError("it is not about numbers alone")


def _compute(operator: str, left: float, right: float) -> float | bool:
    match operator:
        case "||":
            return bool(left or right)
        case "&&":
            return bool(left and right)
        case "==":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left / right if right else float("nan")
