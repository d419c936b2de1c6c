"""Columns of a batch as pieces of JSON objects, made by Arrow instead of cell by cell.

Each column becomes an array of texts ``"name":value``, null if the row leaves out the key. Rows are joined from these.
Arrow cannot write texts that need escapes, or metrics that are not in the API's form; the caller writes these.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.columnar.json_texts import API_METRIC, EMPTY_OBJECTS

_TO_ESCAPE = r'["\\\x00-\x1f]'
_OWN_FORM = f"^{API_METRIC}$"
_EMPTY_OBJECTS = pa.array(EMPTY_OBJECTS, pa.string())
# Made once: for each Python text, Arrow looks for an optional library that is not installed, which takes 0.2 ms.
_NONE, _NOTHING, _COMMA = pa.scalar(None, pa.string()), pa.scalar(""), pa.scalar(",")
_QUOTE, _OPENED, _CLOSED = pa.scalar('"'), pa.scalar("{"), pa.scalar("}")
_ZERO, _NO_NUMBER = pa.scalar(0, pa.int64()), pa.scalar(None, pa.int64())
_POINT, _MINUS = pa.scalar("."), pa.scalar("-")
_ZERO_FLOAT, _HALF = pa.scalar(0.0), pa.scalar(0.5)
_SCALE, _SCALE_INT = pa.scalar(1e8), pa.scalar(10**8, pa.int64())
_LARGEST = pa.scalar(2.0**52)  # above it, floats have no middles
_ERROR = pa.scalar(2.0**-51)
_encode = msgspec.json.encode


def text_pieces(name: str, values: pa.Array) -> pa.Array | None:
    """Return the pieces of a text column, null if it is empty; None if a text has to be escaped."""
    if pc.any(pc.match_substring_regex(values, _TO_ESCAPE)).as_py():
        return None
    shown = pc.if_else(pc.equal(values, _NOTHING), _NONE, values)
    return pc.binary_join_element_wise(_scalar(f'"{name}":"'), shown, _QUOTE, _NOTHING)


def integer_pieces(name: str, values: pa.Array) -> pa.Array:
    """Return the pieces of an integer column, null if it is 0."""
    shown = pc.if_else(pc.equal(values, _ZERO), _NO_NUMBER, values)
    return pc.binary_join_element_wise(_scalar(f'"{name}":'), shown.cast(pa.string()), _NOTHING)


def metric_pieces(name: str, texts: pa.Array) -> pa.Array | None:
    """Return the pieces of a metric from its JSON texts, null if it is empty; None if one is in another form."""
    shown = pc.if_else(pc.is_in(texts, _EMPTY_OBJECTS), _NONE, texts)
    if not pc.all(pc.match_substring_regex(shown, _OWN_FORM), min_count=0).as_py():
        return None
    return pc.binary_join_element_wise(_scalar(f'"{name}":'), shown, _NOTHING)


def object_pieces(name: str, keys: Sequence[tuple[str, pa.Array]]) -> pa.Array:
    """Return the pieces of an object with a column of numbers (float64) for each key, null if it has no value."""
    parts = [
        pc.binary_join_element_wise(_scalar(f"{_encode(key).decode()}:"), number_texts(values), _NOTHING)
        for key, values in keys
    ]
    inside = _joined(parts)
    filled = pc.if_else(pc.equal(inside, _NOTHING), _NONE, inside)
    return pc.binary_join_element_wise(_scalar(f'"{name}":{{'), filled, _CLOSED, _NOTHING)


def number_texts(values: pa.Array) -> pa.Array:
    """Write float64 numbers as `number_text` does; null stays null.

    Arrow has no function that writes 8 decimals, so whole numbers and decimals are written as integers. Numbers that
    are too large for that, and those that lie in the middle of two texts, are written one by one.
    """
    finite = pc.if_else(pc.is_finite(values), values, _ZERO_FLOAT)  # null stays null
    scaled = pc.multiply(pc.abs(finite), _SCALE)
    rounded = pc.round(scaled, round_mode="half_to_even")
    # A product is off by at most 2^-53 of itself: if it is nearer to a middle than that, its rounding is not certain.
    off_middle = pc.abs(pc.subtract(pc.abs(pc.subtract(scaled, rounded)), _HALF))
    certain = pc.and_(pc.less(scaled, _LARGEST), pc.greater(off_middle, pc.multiply(scaled, _ERROR)))
    units = pc.if_else(certain, rounded, _ZERO_FLOAT).cast(pa.int64())
    whole = pc.divide(units, _SCALE_INT)
    decimals = pc.subtract(units, pc.multiply(whole, _SCALE_INT))
    shown = pc.utf8_rtrim(pc.utf8_lpad(decimals.cast(pa.string()), 8, padding="0"), characters="0")
    texts = pc.utf8_rtrim(pc.binary_join_element_wise(whole.cast(pa.string()), shown, _POINT), characters=".")
    negative = pc.and_(pc.less(finite, _ZERO_FLOAT), pc.greater(units, _ZERO))
    texts = pc.if_else(negative, pc.binary_join_element_wise(_MINUS, texts, _NOTHING), texts)
    if pc.all(certain, min_count=0).as_py():
        return texts
    uncertain = pc.invert(certain)
    written = [number_text(value).decode() for value in finite.filter(uncertain).to_pylist()]
    return pc.replace_with_mask(texts, pc.fill_null(uncertain, False), pa.array(written, pa.string()))


def number_text(value: float) -> bytes:
    """Write a number as the API does: whole numbers as integers, others with 8 decimals, non-finite ones as 0.

    Trailing zeros are left out.
    """
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN differs from itself
        return b"0"
    if value == int(value):
        return b"%d" % int(value)
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return b"0" if text == "-0" else text.encode()


def join_rows(columns: list[pa.Array], count: int) -> bytes:
    """Join the pieces of each row into an object, and the objects by commas."""
    if not count or not columns:
        return b",".join([b"{}"] * count)
    inside = _joined(columns)
    rows = pc.binary_join_element_wise(_OPENED, inside, _CLOSED, _NOTHING)
    whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), rows), _COMMA)
    return bytes(memoryview(whole[0].as_buffer()))


def _joined(parts: list[pa.Array]) -> pa.Array:
    """Join the texts of each row by commas; nulls are left out."""
    if any(part.null_count == 0 for part in parts):
        return pc.binary_join_element_wise(*parts, _COMMA, null_handling="skip")
    # Arrow drops a row whose texts are all null, so each row starts with a text, whose comma is cut off again.
    first = pa.array([""] * len(parts[0]), pa.string())
    joined = pc.binary_join_element_wise(first, *parts, _COMMA, null_handling="skip")
    return pc.utf8_slice_codeunits(joined, start=1)


@lru_cache(maxsize=256)  # names of columns
def _scalar(text: str) -> pa.StringScalar:
    return pa.scalar(text)
