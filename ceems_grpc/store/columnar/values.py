"""The values that a column may hold. Every store answers null in place of any other value.

SQLite stores any value in any column, whatever type the column is declared with. These are the rules, by the types and
kinds of `ceems_grpc.schema`:

- a column of texts, lists or JSON objects holds texts
- a moment in milliseconds holds an integer in the years 1970 to 9999; 0 means that there is none yet
- a count holds an integer from 0 to 10^12, so that a sum of counts has 64 bits
- any other column of integers holds any integer of 64 bits
- a column that the schema does not describe holds anything but BLOBs; stores return its numbers as texts. If it is
  declared as a column of numbers, answers read its texts as numbers; see `numbers_of_texts`

A number in a column of texts, a text, a BLOB or a fraction in a column of integers, Go's zero time (the year 1) and
microseconds in a column of milliseconds are therefore empty.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.schema import COLUMNS, DESCRIBED, INTEGERS, Kind, Type

INT64 = range(-(2**63), 2**63)
LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999, the last moment that dates can have."""
_LARGEST_COUNT = 10**12
_MOST_NAMED = 5
_INTEGER = "-?[0-9]{1,19}"
NUMBER_FORM = r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"
"""How SQLite writes numbers as texts, as a regular expression."""
_LARGEST = {Kind.TIME: LAST_MILLISECOND, Kind.COUNT: _LARGEST_COUNT}
_BOUNDS = {
    column.name: _LARGEST[column.kind]
    for columns in COLUMNS.values()
    for column in columns.values()
    if column.name in INTEGERS and column.kind in _LARGEST
}


def is_usable(column: str, written: str) -> str:
    """Write the condition, in SQLite's SQL, that the value of a row is one that the column may hold.

    ``written``: the column as the statement names it. The condition is never null.
    """
    if column not in DESCRIBED:
        return f"typeof({written}) IN ('text', 'integer', 'real')"
    if column not in INTEGERS:
        return f"typeof({written}) = 'text'"
    largest = _BOUNDS.get(column)
    bounds = "" if largest is None else f" AND {written} BETWEEN 0 AND {largest}"
    return f"typeof({written}) = 'integer'{bounds}"


def usable(column: str, written: str) -> str:
    """Write a column, in SQLite's SQL, with null for each value that it may not hold; see `is_usable`."""
    value = written if column in DESCRIBED else f"CAST({written} AS TEXT)"
    return f"CASE WHEN {is_usable(column, written)} THEN {value} END"


def numbers_of_texts(texts: pa.ChunkedArray, type_: Type = Type.NUMBER) -> pa.ChunkedArray:
    """Return the numbers that SQLite wrote as these texts: int64 for integers, otherwise float64.

    A text that is not such a number, such as infinity, is null.
    """
    form, wanted = (_INTEGER, pa.int64()) if type_ is Type.INTEGER else (NUMBER_FORM, pa.float64())
    fit = pc.match_substring_regex(texts, f"^(?:{form})$")
    found = pc.if_else(fit, texts, pa.scalar(None, pa.string()))
    try:
        return found.cast(wanted)
    except pa.ArrowInvalid:  # an integer beyond 64 bits
        numbers = [int(text) if text else None for text in found.to_pylist()]
        whole = pa.array([one if one in INT64 else None for one in numbers], wanted)
        return pa.chunked_array([whole]) if isinstance(texts, pa.ChunkedArray) else whole


def numbers_as_texts(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the texts, and how SQLite writes the numbers that they mean: 4 is also 4.0."""
    found = dict.fromkeys(texts)
    for text in texts:
        try:
            number = float(text)
            found[str(int(number)) if number == int(number) else ""] = None
        except (ValueError, OverflowError):
            continue
        digits, exponent, power = f"{number:.15g}".partition("e")
        found[f"{digits if '.' in digits else digits + '.0'}{exponent}{power}"] = None
    return tuple(text for text in found if text)


def is_json_object(written: str) -> str:
    """Write the condition, in SQLite's SQL, that a value is a JSON object."""
    return f"(typeof({written}) = 'text' AND substr({written}, 1, 1) = '{{' AND json_valid({written}))"


def unusable_counts(columns: Sequence[str], quote: Callable[[str], str]) -> str:
    """Write, in SQLite's SQL, an expression for each column that counts the values that it may not hold."""
    return ", ".join(f"total({quote(name)} NOT NULL AND NOT ({is_usable(name, quote(name))}))" for name in columns)


def unusable_values(counts: Sequence[tuple[str, int]]) -> str:
    """Return a sentence about the values that are shown as empty because of these rules; see `Facts.unusable`."""
    total = sum(count for _, count in counts)
    listed = ", ".join(f"{count} in {name}" for name, count in counts[:_MOST_NAMED])
    more = f" and {len(counts) - _MOST_NAMED} more columns" if len(counts) > _MOST_NAMED else ""
    values = "1 value has" if total == 1 else f"{total} values have"
    return f"{values} a type or a size that the column cannot hold, and count as empty ({listed}{more})"
