"""Which values a column may hold. Any other value is empty: every store answers null in its place.

SQLite keeps whatever is written into a column, whatever type the column is declared with. The rule, by the types and
kinds of `ceems_grpc.schema`:

- a column of texts, lists or JSON objects holds texts
- a moment in milliseconds holds an integer in the years 1970 to 9999; 0 means that there is none yet
- a count holds an integer from 0 to 10^12, so that a sum of counts has 64 bits
- any other column of integers holds any integer of 64 bits
- a column that the schema does not describe holds anything but BLOBs; its numbers are answered as texts

A number in a column of texts, a text, a BLOB or a fraction in a column of integers, Go's zero time (the year 1) and
microseconds in a column of milliseconds are therefore empty.
"""

from collections.abc import Callable, Sequence

from ceems_grpc.schema import COLUMNS, DESCRIBED, INTEGERS, Kind

LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999, the last moment that dates can have."""
_LARGEST_COUNT = 10**12
_MOST_NAMED = 5
_LARGEST = {Kind.TIME: LAST_MILLISECOND, Kind.COUNT: _LARGEST_COUNT}
_BOUNDS = {
    column.name: _LARGEST[column.kind]
    for columns in COLUMNS.values()
    for column in columns.values()
    if column.name in INTEGERS and column.kind in _LARGEST
}


def is_usable(column: str, written: str) -> str:
    """Write the condition, in SQLite's SQL, that a row holds a value that the column may hold.

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


def is_json_object(written: str) -> str:
    """Write the condition, in SQLite's SQL, that a value is a JSON object."""
    return f"(typeof({written}) = 'text' AND substr({written}, 1, 1) = '{{' AND json_valid({written}))"


def unusable_counts(columns: Sequence[str], quote: Callable[[str], str]) -> str:
    """Write, in SQLite's SQL, an expression for each column that counts the values that it may not hold."""
    return ", ".join(f"total({quote(name)} NOT NULL AND NOT ({is_usable(name, quote(name))}))" for name in columns)


def unusable_values(counts: Sequence[tuple[str, int]]) -> str:
    """Say how many values are shown as empty because their columns may not hold them; see `Facts.unusable`."""
    total = sum(count for _, count in counts)
    listed = ", ".join(f"{count} in {name}" for name, count in counts[:_MOST_NAMED])
    more = f" and {len(counts) - _MOST_NAMED} more columns" if len(counts) > _MOST_NAMED else ""
    values = "1 value has" if total == 1 else f"{total} values have"
    return f"{values} a type or a size that the column cannot hold, and count as empty ({listed}{more})"
