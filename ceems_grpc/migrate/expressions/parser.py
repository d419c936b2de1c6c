"""The parser of Infinity's expressions: filters, computed columns, predicates of JSONata, ``where`` of UQL.

One grammar covers them: ``or || and && ! == = != <> < <= > >= in + - * / ? :``. Function calls are not part of it.
"""

import re
from dataclasses import dataclass

from ceems_grpc.migrate.expressions.tree import Choose, Expression, Literal, Name, Not, OneOf, Operation, Value
from ceems_grpc.migrate.report import CannotRewriteError

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<double>"(?:[^"\\]|\\.)*")
    |(?P<single>'(?:[^'\\]|\\.)*')
    |(?P<back>`[^`]*`)
    |\[(?P<bracket>[^\]'"$,]+)\]
    |(?P<variable>\$\{[^}]+\}|\$\w+|\[\[\w+\]\])
    |(?P<name>[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*)
    |(?P<sign>\|\||&&|==|!=|<>|<=|>=|[=<>!+\-*/?:(),\[\]])
    )""",
    re.VERBOSE,
)
_WORDS = {"and": "&&", "or": "||", "not": "!", "=": "==", "<>": "!=", "==": "=="}
_LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in", "!in"), ("+", "-"), ("*", "/"))
_CONSTANTS: dict[str, Value] = {"null": None, "nil": None, "true": True, "false": False}


def parse(text: str, *, quoted_names: bool = False) -> Expression:
    """Parse an expression. ``quoted_names``: double quotes hold names of columns (UQL), otherwise text."""
    parser = _Parser(text, quoted_names)
    expression = parser.expression()
    if parser.here:
        raise _wrong(text)
    return expression


def _wrong(text: str) -> CannotRewriteError:
    return CannotRewriteError(f"the expression '{text.strip()}' is not understood")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


class _Parser:
    def __init__(self, text: str, quoted_names: bool) -> None:
        self._text = text
        self._quoted_names = quoted_names
        self.here = list(_tokens(text))
        self.here.reverse()

    def expression(self) -> Expression:
        condition = self._level(0)
        if not self._take("?"):
            return condition
        then = self.expression()
        self._need(":")
        return Choose(condition, then, self.expression())

    def _level(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self._level(level + 1)
        while (operator := self._operator(_LEVELS[level])) is not None:
            if operator in {"in", "!in"}:
                members: Expression = OneOf(left, self._list())
                left = Not(members) if operator == "!in" else members
            else:
                left = Operation(operator, left, self._level(level + 1))
        return left

    def _operator(self, wanted: tuple[str, ...]) -> str | None:
        if not self.here or self.here[-1].kind not in {"sign", "name"}:
            return None
        word = self.here[-1].text.lower()
        following = self.here[-2].text.lower() if len(self.here) > 1 else ""
        if word == "not" and following == "in" and "!in" in wanted:
            del self.here[-2:]
            return "!in"
        word = _WORDS.get(word, word)
        if word not in wanted:
            return None
        self.here.pop()
        return word

    def _unary(self) -> Expression:
        if self._take("!") or self._take("not"):
            return Not(self._unary())
        if self._take("-"):
            return Operation("-", Literal(0.0), self._unary())
        if self._take("("):
            inside = self.expression()
            self._need(")")
            return inside
        return self._operand()

    def _list(self) -> tuple[Expression, ...]:
        if self.here and self.here[-1].kind == "bracket":  # [a] reads as a bracketed name
            return (Name(self.here.pop().text),)
        close = ")" if self._take("(") else "]"
        if close == "]":
            self._need("[")
        items = [self._operand()]
        while self._take(","):
            items.append(self._operand())
        self._need(close)
        return tuple(items)

    def _operand(self) -> Expression:
        if not self.here:
            raise _wrong(self._text)
        token = self.here.pop()
        inner = token.text[1:-1]
        match token.kind:
            case "number":
                return Literal(float(token.text))
            case "double" if self._quoted_names:
                return Name(inner)
            case "double" | "single":
                return Literal(re.sub(r"\\(.)", r"\1", inner))
            case "back":
                return Name(inner)
            case "bracket" | "variable":
                return Name(token.text)
            case "name" if token.text.lower() in _CONSTANTS:
                return Literal(_CONSTANTS[token.text.lower()])
            case "name" if not (self.here and self.here[-1].text == "("):
                return Name(token.text)
        raise _wrong(self._text)

    def _take(self, word: str) -> bool:
        found = bool(self.here) and self.here[-1].kind in {"sign", "name"} and self.here[-1].text.lower() == word
        if found:
            self.here.pop()
        return found

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise _wrong(self._text)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _wrong(text)
        tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens
