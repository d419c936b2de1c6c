"""Encode metric texts that are not plain JSON objects of numbers. For the codes, see `layout`."""

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ceems_grpc.store.columnar.flatten import decode_object
from ceems_grpc.store.columnar.json_paths import AS_PATH
from ceems_grpc.store.columnar.json_texts import EMPTY_OBJECTS

NO_NUMBER = '"NaN"'
NULL = '"Infinity"'
_numbers = msgspec.json.Decoder(dict[str, float])


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """The encoded texts.

    ``texts``: for each text, a JSON object of numbers and codes. ``keys``: all keys of these objects. ``coded``: keys
    with a code. ``exact``: whether every text could be encoded exactly.
    """

    texts: dict[str, str]
    keys: frozenset[str]
    coded: frozenset[str]
    exact: bool


def split_plain(texts: Sequence[str | None]) -> tuple[dict[str, list[float | None]], set[str]]:
    """Return the values of each key of plain JSON objects of finite numbers, and the other texts, for `encode`."""
    values: dict[str, list[float | None]] = {}
    unusual: set[str] = set()
    for row, text in enumerate(texts):
        if text is None or text in EMPTY_OBJECTS:
            continue
        found = _plain_object(text)
        if found is None:
            unusual.add(text)
            continue
        for key, value in found.items():
            column = values.get(key)
            if column is None:
                column = values[key] = [None] * len(texts)
            column[row] = value
    return values, unusual


def _plain_object(text: str) -> dict[str, float] | None:
    if text[0] != "{" or "\\" in text:
        return None
    try:
        found = _numbers.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    # A text with a repeated key has more quotes than its keys account for. Infinite numbers do not decode.
    return found if found and 2 * len(found) == text.count('"') else None


def encode(texts: Iterable[str]) -> EncodedTexts:
    """Encode unusual texts by the values that SQLite (in sums) and Python (in tables) read from them."""
    encoded: dict[str, str] = {}
    keys: set[str] = set()
    coded: set[str] = set()
    exact = True
    sqlite = sqlite3.connect(":memory:")
    try:
        for text in texts:
            values = _values(sqlite, text)
            if values is None:
                exact = False
                values = {}
            encoded[text] = "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in values.items()) + "}"
            keys.update(values)
            coded.update(key for key, value in values.items() if value in {NO_NUMBER, NULL})
    finally:
        sqlite.close()
    return EncodedTexts(encoded, frozenset(keys), frozenset(coded), exact)


def _values(sqlite: sqlite3.Connection, text: str) -> dict[str, str] | None:
    """Return the value of each key as JSON text, or None if the engines disagree about the text."""
    try:
        is_object, sums = _in_sums(sqlite, text)
    except (sqlite3.Error, UnicodeError):
        return None
    shown = decode_object(text, numeric=True)
    if not is_object:
        return None if shown else {}
    names = [key for key, *_ in sums]
    if len(set(names)) != len(names) or _has_escaped_key(text, names):
        return None  # a key is repeated, or has an escape so that SQLite does not find it
    if {key for key, kind, _ in sums if kind != "null"} != shown.keys():
        return None
    values: dict[str, str] = {}
    for key, kind, number in sums:
        value = NULL if kind == "null" else _value(kind, number, shown[key])
        if value is None:
            return None
        values[key] = value
    return values


def _value(kind: str, number: float | None, shown: float) -> str | None:
    if number is None or not math.isfinite(number):
        return None
    if kind in {"integer", "real", "true", "false"}:
        same = math.isclose(number, shown, rel_tol=1e-15)
        return msgspec.json.encode(shown).decode() if same else None
    return NO_NUMBER if number == 0 and shown == 0 else None


def _in_sums(sqlite: sqlite3.Connection, text: str) -> tuple[bool, list[tuple[str, str, float | None]]]:
    (is_object,) = sqlite.execute("SELECT json_valid(?1) AND substr(?1, 1, 1) = '{'", (text,)).fetchone()
    if not is_object:
        return False, []
    return True, sqlite.execute("SELECT key, type, CAST(value AS REAL) FROM json_each(?)", (text,)).fetchall()


def _has_escaped_key(text: str, keys: list[str]) -> bool:
    # SQLite compares the written form of keys that look like a path, and decodes other keys.
    return "\\" in text and any(AS_PATH.fullmatch(key) and f'"{key}"' not in text for key in keys)
