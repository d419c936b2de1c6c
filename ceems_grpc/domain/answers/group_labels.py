"""The groups that values of units belong to, as texts: tags, states, and classes of numbers."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from ceems_grpc.domain.questions.groups import POWERS_OF_TWO, ValueGroup
from ceems_grpc.domain.states import STATE, state_of
from ceems_grpc.store.columnar.flatten import decode_object
from ceems_grpc.store.columnar.json_paths import canonical, value_at
from ceems_grpc.store.runtime.cancellation import until_cancelled

_TO = " to <"
_encode = msgspec.json.Encoder().encode


def labels_of(texts: Sequence[str | None], groups: Sequence[ValueGroup]) -> list[list[str | None]]:
    """Return for each group of one column the label of each text of the column; None for a text without a value."""
    if groups[0].key is None:
        state = groups[0].column == STATE
        return [[state_of(text) if state and text is not None else text for text in until_cancelled(texts)]]
    labels: list[list[str | None]] = [[] for _ in groups]
    for text in until_cancelled(texts):
        found = {} if text is None else decode_object(text, numeric=False)
        for group, of_group in zip(groups, labels, strict=True):
            of_group.append(label_of(value_at(found, group.key or ""), group.bounds))
    return labels


def label_of(value: Any, bounds: tuple[float, ...] | None = None) -> str | None:  # noqa: ANN401 - any JSON value
    """Return the text of a JSON value, or of the class of a number if there are bounds; None if it is no value."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value) if bounds is None or not math.isfinite(value) else class_of(value, bounds)
    text = _encode(value).decode()
    return canonical(text) or text


def number_text(number: float) -> str:
    """Write a number: an integral one as digits, others in the shortest form that reads as the same number."""
    return str(int(number)) if math.isfinite(number) and number == int(number) else repr(number)


def class_of(number: float, bounds: tuple[float, ...]) -> str:
    """Return the label of the class of a number. A bound belongs to the class that it starts."""
    if bounds == POWERS_OF_TWO:
        return _power_class(number)
    place = bisect_right(bounds, number)
    if place == 0:
        return f"<{number_text(bounds[0])}"
    if place == len(bounds):
        return f">={number_text(bounds[-1])}"
    return f"{number_text(bounds[place - 1])}{_TO}{number_text(bounds[place])}"


def _power_class(number: float) -> str:
    if number < 1:
        return "<0" if number < 0 else "0" if number == 0 else "<1"
    power = 1 << int(number).bit_length() - 1
    return f"{power}{_TO}{2 * power}"


def rank(label: str) -> tuple[float, bool, str]:
    """Return the sort key of a label: classes by their bounds, then other texts."""
    low = label.partition(_TO)[0]
    is_below = low.startswith("<")
    try:
        return float(low.removeprefix("<" if is_below else ">=")), not is_below, label
    except ValueError:
        return math.inf, True, label
