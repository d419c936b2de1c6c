"""The meaning that SQLite gives to the values in a plan, for engines that must give the same answer."""

import math
import re
from collections.abc import Iterable
from contextlib import suppress

from ceems_grpc.store.columnar.values import INT64

UPPER, LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_ASCII_LOWER = str.maketrans(UPPER, LOWER)
_SQLITE_NUMBER = re.compile(r"[ \t\n\v\f\r]*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?[ \t\n\v\f\r]*")
_WHOLE = re.compile(r"[ \t\n\v\f\r]*[-+]?[0-9]+[ \t\n\v\f\r]*")


def ascii_lower(text: str) -> str:
    """Make only ASCII letters lower case, as SQLite's LIKE does."""
    return text.translate(_ASCII_LOWER)


def integers_meant(texts: Iterable[str]) -> list[int]:
    """Return the 64-bit integers as which SQLite reads the texts when it compares them with an integer column.

    Texts that are not integers equal no integer and are left out.
    """
    found = []
    for text in texts:
        if _SQLITE_NUMBER.fullmatch(text) is None:
            continue
        value: float | int = int(text) if _WHOLE.fullmatch(text) else float(text)
        if INT64[0] <= value <= INT64[-1] and value == int(value):
            found.append(int(value))
    return found


def numbers_of(texts: Iterable[str]) -> list[float]:
    """Return the finite numbers among the texts."""
    numbers = []
    for text in texts:
        with suppress(ValueError):
            numbers.append(float(text))
    return [number for number in numbers if math.isfinite(number)]


def booleans_of(texts: Iterable[str]) -> tuple[bool, bool]:
    """Return whether JSON's true, and whether its false, is one of the texts. "1" also means true, "0" also false."""
    listed = list(texts)
    numbers = numbers_of(listed)
    return "true" in listed or 1.0 in numbers, "false" in listed or 0.0 in numbers


def json_key(key: str) -> str:
    """Write a key of a JSON object, with its colon."""
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '":'
