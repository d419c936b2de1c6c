r"""Read values in the JSON texts of the mirror (allocation, tags) with DuckDB's functions, exactly as SQLite does.

Both engines agree about plain texts: objects without escapes, with numbers of at most 15 digits and little nesting. A
row with another text that could matter makes the statement fail with `NOT_IN_MIRROR`, and the live file answers.
"""

from ceems_grpc.store.columnar.json_paths import AS_PATH
from ceems_grpc.store.columnar.json_texts import EMPTY_OBJECTS
from ceems_grpc.store.columnar.layout import quote, text
from ceems_grpc.store.sql.values import booleans_of

NOT_IN_MIRROR = "the mirror cannot tell"
_EMPTY = f"({', '.join(map(text, EMPTY_OBJECTS))})"
_STRING = r'"[^"\\\x00-\x1f]*"'
_NUMBER = r"-?(0|[1-9][0-9]{0,14}|(0|[1-9][0-9]{0,6})\.[0-9]{1,8})"
_SCALAR = rf"({_STRING}|{_NUMBER}|true|false|null)"


def _object_of(value: str) -> str:
    return rf"\{{({_STRING}: ?{value}(, ?{_STRING}: ?{value})*)?\}}"


def _or_nested(value: str) -> str:
    return rf"({_SCALAR}|\[({value}(, ?{value})*)?\]|{_object_of(value)})"


_PLAIN = _object_of(_or_nested(_or_nested(_SCALAR)))
_MOST_NEEDLES = 4


def can_tell(key: str, values: tuple[str, ...] = ()) -> bool:
    """Return whether this module can look up the key and compare its value with the texts."""
    # Texts of objects depend on how an engine writes them.
    return AS_PATH.fullmatch(key) is not None and not any(value[:1] in {"{", "["} or "\0" in value for value in values)


def is_one_of(column: str, key: str, values: tuple[str, ...], numbers: list[float], parameters: list[object]) -> str:
    """Write the condition that the value of a key is one of the texts or numbers. It is false for an absent key."""
    needles = [f'"{value}"' for value in values]
    true, false = booleans_of(values)
    if numbers or true or false or len(values) > _MOST_NEEDLES:
        needles = [f'"{key}"']  # a key that is written differently has an escape
    plain = _plain(column, needles)
    parameters += [list(values), list(values), numbers, numbers]  # in the order of the statement
    truth = f"CASE WHEN {_value(plain, key)} = 'true' THEN {true} ELSE {false} END"
    member = (
        "CASE json_type(m) WHEN 'VARCHAR' THEN list_contains(?::VARCHAR[], json_extract_string(m, '$'))"
        f" WHEN 'BOOLEAN' THEN CASE WHEN json_extract_string(m, '$') = 'true' THEN {true} ELSE {false} END"
        " WHEN 'ARRAY' THEN FALSE WHEN 'OBJECT' THEN FALSE"
        " ELSE coalesce(list_contains(?::DOUBLE[], TRY_CAST(json_extract_string(m, '$') AS DOUBLE)), FALSE) END"
    )
    array = f"CASE WHEN {_kind(plain, key)} = 'ARRAY' THEN json_extract({plain}, {text(_pointer(key))}) END"
    within = (
        f"CASE {_kind(plain, key)} WHEN 'VARCHAR' THEN list_contains(?::VARCHAR[], {_value(plain, key)})"
        f" WHEN 'BOOLEAN' THEN {truth}"
        f" WHEN 'ARRAY' THEN len(list_filter(CAST({array} AS JSON[]), lambda m: {member})) > 0"
        f" ELSE coalesce(list_contains(?::DOUBLE[], {_number(plain, key)}), FALSE) END"
    )
    return _guarded(column, needles, within, "FALSE")


def as_number(column: str, key: str) -> str:
    """Write the value of a key as a DOUBLE; null if it is not a number. True is 1, as in SQLite."""
    needles = [f'"{key}"']
    return _guarded(column, needles, _number(_plain(column, needles), key), "NULL")


def lists_of_keys(column: str) -> str:
    """Write an aggregate: a list of the distinct lists of keys that rows have."""
    every = [""]
    return f"list(DISTINCT {_guarded(column, every, f'json_keys({_plain(column, every)})', 'NULL')})"


def _guarded(column: str, needles: list[str], value: str, otherwise: str) -> str:
    name = quote(column)
    # The error refers to the column so that the engine does not evaluate it before there are rows.
    return (
        f"CASE WHEN {_is_irrelevant(name, needles)} THEN {otherwise}"
        f" WHEN {_plain(column, needles)} IS NOT NULL THEN {value}"
        f" ELSE CASE WHEN error({text(NOT_IN_MIRROR)} || left({name}, 0)) IS NULL THEN {otherwise} END END"
    )


def _plain(column: str, needles: list[str]) -> str:
    """Write the text if it matters and is plain, otherwise null. DuckDB may evaluate a CASE branch for all rows."""
    name = quote(column)
    return (
        f"(CASE WHEN NOT {_is_irrelevant(name, needles)} AND regexp_full_match({name}, {text(_PLAIN)}) THEN {name} END)"
    )


def _is_irrelevant(name: str, needles: list[str]) -> str:
    """Write the condition that the text is empty or cannot contain a needle. An escape may hide any needle."""
    may = " OR ".join(f"contains({name}, {text(needle)})" for needle in (*needles, "\\"))
    return f"({name} IS NULL OR {name} IN {_EMPTY} OR NOT ({may}))"


def _kind(plain: str, key: str) -> str:
    return f"json_type({plain}, {text(_pointer(key))})"


def _value(plain: str, key: str) -> str:
    return f"json_extract_string({plain}, {text(_pointer(key))})"


def _number(plain: str, key: str) -> str:
    kind, value = _kind(plain, key), _value(plain, key)
    return (
        f"CASE WHEN {kind} = 'BOOLEAN' THEN CAST({value} = 'true' AS DOUBLE)"
        f" WHEN {kind} IN ('UBIGINT', 'BIGINT', 'DOUBLE') THEN TRY_CAST({value} AS DOUBLE) END"
    )


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")
