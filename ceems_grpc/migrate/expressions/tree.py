"""The syntax tree of an expression."""

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True, slots=True)
class Name:
    """A column, or a template variable outside of quotes."""

    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; None is null."""

    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class Operation:
    """Two operands and one of ``|| && == != < <= > >= + - * /``."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Not:
    """A negation."""

    inside: "Expression"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Membership in a list."""

    value: "Expression"
    among: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """``condition ? then : otherwise``."""

    condition: "Expression"
    then: "Expression"
    otherwise: "Expression"


Expression = Union[Name, Literal, Operation, Not, OneOf, Choose]  # noqa: UP007 - refers to itself through strings
Value = str | float | bool | None
