"""Groups of usage by values that only units have, as docs/query.md describes them."""

import json
import math
from typing import Any

from ceems_grpc.domain.questions.model import Classes
from tests.model.data import Row, object_of

PLAIN = ("state", "name")
OBJECTS = ("tags", "allocation")


def is_value_group(name: str) -> bool:
    head, _, key = name.partition(".")
    return name in PLAIN or (head in OBJECTS and key != "")


def with_values(row: Row, names: tuple[str, ...], classes: tuple[Classes, ...]) -> Row:
    """Return a row with its groups, and the sort key of each group."""
    bounds = {one.key: one.bounds for one in classes}
    found: Row = {**row}
    for name in filter(is_value_group, names):
        label, place = _group(row, name, bounds.get(name))
        found[name] = label
        found["sorted " + name] = place
    return found


def sorted_by(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("sorted " + name if is_value_group(name) else name for name in names)


def as_objects(rows: list[Row]) -> list[Row]:
    """Return rows of an answer with the keys of an object nested in the object."""
    found = []
    for row in rows:
        shown: Row = {}
        for name, value in row.items():
            head, _, key = name.partition(".")
            if head in OBJECTS and key:
                shown.setdefault(head, {})
                if value is not None:
                    shown[head][key] = value
            elif not name.startswith("sorted "):
                shown[name] = value
        found.append(shown)
    return found


def columns_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of `as_objects` for these values."""
    return tuple(dict.fromkeys(name.partition(".")[0] if is_value_group(name) else name for name in names))


def value_of(row: Row, name: str) -> Any:
    """Return a value of a row of `as_objects`."""
    head, _, key = name.partition(".")
    return row.get(head, {}).get(key) if key and is_value_group(name) else row[name]


def only(rows: list[Row], names: tuple[str, ...]) -> list[Row]:
    """Return rows of `as_objects` without the values that are not named."""
    found = [
        {
            head: {key: value for key, value in held.items() if f"{head}.{key}" in names} if head in OBJECTS else held
            for head, held in row.items()
        }
        for row in rows
    ]
    return [{head: held for head, held in row.items() if held or head not in OBJECTS} for row in found]


def _group(row: Row, name: str, bounds: tuple[float, ...] | None) -> tuple[str | None, Any]:
    head, _, key = name.partition(".")
    if not key:
        text = row[name]
        if name == "state" and text is not None and text.startswith("CANCELLED by "):
            text = "CANCELLED"
        return text, text
    value = object_of(row[head]).get(key)
    if value is None or isinstance(value, str):
        return value, None if value is None else (math.inf, value)
    if isinstance(value, dict | list):
        text = json.dumps(value, sort_keys=True)
        return text, (math.inf, text)
    if head == "tags" and bounds is None:
        text = str(int(value)) if value == int(value) else repr(value)
        return text, (math.inf, text)
    return _class(value, bounds)


def _class(number: float, bounds: tuple[float, ...] | None) -> tuple[str, tuple[float, str]]:
    if bounds is None:
        edges: list[float] = [0, 1]
        while edges[-1] <= number:
            edges.append(edges[-1] * 2)
        if 0 <= number < 1:
            return ("0", (0, "")) if number == 0 else ("<1", (0.5, ""))
    else:
        edges = list(bounds)
    below = [edge for edge in edges if edge <= number]
    above = [edge for edge in edges if edge > number]
    if not below:
        return f"<{above[0]:g}", (-math.inf, "")
    if not above:
        return f">={below[-1]:g}", (below[-1], "")
    return f"{_digits(below[-1])} to <{_digits(above[0])}", (below[-1], "")


def _digits(edge: float) -> str:
    return str(int(edge)) if edge == int(edge) else repr(edge)
