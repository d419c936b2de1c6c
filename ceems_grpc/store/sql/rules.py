"""Rules of the column layout (`mirror_layout`) that hold in every dialect of SQL, and answers put together from it."""

import math
import re
from contextlib import suppress

UPPER, LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_ASCII_LOWER = str.maketrans(UPPER, LOWER)
_SQLITE_NUMBER = re.compile(r"[ \t\n\v\f\r]*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?[ \t\n\v\f\r]*")
_WHOLE = re.compile(r"[ \t\n\v\f\r]*[-+]?[0-9]+[ \t\n\v\f\r]*")


def ascii_lower(text: str) -> str:
    """Make ASCII letters small, and only those, as SQLite's LIKE does."""
    return text.translate(_ASCII_LOWER)


def integers_meant(texts: tuple[str, ...]) -> list[int]:
    """Return the 64-bit integers that SQLite takes the texts for when it compares them with an integer column.

    Texts that read as no number, or as another number, equal no integer.
    """
    found = []
    for text in texts:
        if _SQLITE_NUMBER.fullmatch(text) is None:
            continue
        value: float | int = int(text) if _WHOLE.fullmatch(text) else float(text)
        if -(2**63) <= value < 2**63 and value == int(value):
            found.append(int(value))
    return found


def json_key(key: str) -> str:
    """Write a key of a JSON object, with its colon."""
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '":'


def numbers_of(texts: tuple[str, ...]) -> list[float]:
    """Return the finite numbers among the texts."""
    numbers = []
    for text in texts:
        with suppress(ValueError):
            numbers.append(float(text))
    return [number for number in numbers if math.isfinite(number)]
