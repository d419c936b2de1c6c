"""Columns of a batch as pieces of JSON objects, made by Arrow instead of cell by cell.

Each column becomes an array of texts ``"name":value``, null if the row leaves out the key. Rows are joined from these.
Arrow cannot write texts that need escapes, or metrics that are not in the API's form; the caller writes these.
"""

from functools import lru_cache

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


def join_rows(columns: list[pa.Array], count: int) -> bytes:
    """Join the pieces of each row into an object, and the objects by commas."""
    if not count:
        return b""
    inside = pc.binary_join_element_wise(*columns, _COMMA, null_handling="skip")
    rows = pc.binary_join_element_wise(_OPENED, inside, _CLOSED, _NOTHING)
    whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), rows), _COMMA)
    return bytes(memoryview(whole[0].as_buffer()))


@lru_cache(maxsize=256)  # names of columns
def _scalar(text: str) -> pa.StringScalar:
    return pa.scalar(text)
