"""Splits JSON objects in text columns into one Arrow column per key."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from ceems_grpc.store.columnar.json_paths import value_at
from ceems_grpc.store.columnar.json_texts import EMPTY_OBJECTS, lenient
from ceems_grpc.store.runtime.cancellation import until_cancelled

_EMPTY = {None, *EMPTY_OBJECTS}
_NOTHING: dict[str, Any] = {}
_numbers = msgspec.json.Decoder(dict[str, float])
_anything = msgspec.json.Decoder(dict[str, Any])
_whatever = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


def flatten(texts: Sequence[str | None], *, numeric: bool, nested: Sequence[str] = ()) -> dict[str, pa.Array]:
    """Return one array for each key, ordered by key. A row without the key, or without an object, has null there.

    Numeric arrays are float64, with 0 for values that are not finite numbers, as in the API. Others are int64,
    float64, bool or text. A column most of whose different values are numbers is one of numbers: what does not read as
    a number is null there. Nested values become JSON text. ``nested``: names within objects that become columns too,
    see `value_at`.
    """
    objects = [
        _NOTHING if text in _EMPTY else decode_object(text or "", numeric=numeric) for text in until_cancelled(texts)
    ]
    keys: set[str] = set().union(*objects)
    # Looking up a missing key is faster than finding out which rows have it.
    values = {key: [each.get(key) for each in until_cancelled(objects)] for key in keys}
    for name in nested:
        found = [value_at(each, name) for each in until_cancelled(objects)]
        if any(value is not None for value in found):
            values[name] = found
    return {key: _array(values[key], numeric=numeric) for key in sorted(values)}


def decode_object(text: str, *, numeric: bool) -> dict[str, Any]:
    """Decode a JSON object. Anything else becomes an empty object."""
    try:
        if numeric:
            return _numbers.decode(text)
        return _anything.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        pass
    try:
        found = lenient(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    # A null is not a value, as in sums.
    return {key: _finite(value) for key, value in found.items() if value is not None} if numeric else found


def decode_list(text: str | None) -> list[Any]:
    """Decode a JSON array. Anything else becomes an empty list."""
    try:
        found = _whatever.decode(text or "[]")
    except (msgspec.DecodeError, UnicodeEncodeError):
        try:
            found = lenient(text or "")
        except ValueError:
            return []
    return found if isinstance(found, list) else []


def _finite(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _array(values: list[Any], *, numeric: bool) -> pa.Array:
    if numeric:
        return pa.array(values, pa.float64())
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:
        return pa.array(values, pa.string())
    for type_, wanted in ((pa.bool_(), {bool}), (pa.int64(), {int}), (pa.float64(), {int, float})):
        if kinds and kinds <= wanted:
            try:
                return pa.array(values, type_)
            except (pa.ArrowInvalid, OverflowError):  # an integer beyond 64 bits
                continue
    # Distinct values count, because equal rows may be split only once.
    numbers = {value for value in values if type(value) in {int, float}}
    others = {_text(value) for value in values if value is not None and type(value) not in {int, float}}
    if len(numbers) > len(others):
        return pa.array(map(_number, values), pa.float64())
    return pa.array([_text(value) for value in values], pa.string())


def _number(value: object) -> float | None:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _encode(value).decode()
