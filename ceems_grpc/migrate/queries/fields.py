"""The columns of an Infinity query as fields of our query."""

import re
from dataclasses import dataclass
from typing import Any

from ceems_grpc.domain.columns import (
    CLUSTER_COLUMNS,
    PROJECT_COLUMNS,
    STATS_COLUMNS,
    UNIT_COLUMNS,
    USAGE_COLUMNS,
    USER_COLUMNS,
)
from ceems_grpc.migrate.json_parts import objects
from ceems_grpc.migrate.report import CannotRewriteError, Json
from ceems_grpc.migrate.template_variables import VARIABLE, clean, has_variable
from ceems_grpc.schema import Column, Kind

COLUMNS: dict[str, dict[str, Column]] = {
    kind: {column.name: column for column in columns}
    for kind, columns in {
        "units": UNIT_COLUMNS,
        "usage": USAGE_COLUMNS,
        "stats": STATS_COLUMNS,
        "users": USER_COLUMNS,
        "projects": PROJECT_COLUMNS,
        "clusters": CLUSTER_COLUMNS,
    }.items()
}
"""The columns in the answer to each kind of request, by name."""

_MOMENTS = {"created_at_ts": "created_at", "started_at_ts": "started_at", "ended_at_ts": "ended_at"}
_QUOTED = re.compile(r"""\[\s*(?:"([^"\]]+)"|'([^'\]]+)')\s*\]|\.(?:"([^"]+)"|'([^']+)')|`([^`]+)`""")


@dataclass(slots=True)
class QueryField:
    """A field of a query, and the name that the panel uses for it.

    ``name``: a column or ``column.key``; it may contain variables. ``text``: the panel's name. ``type_``: Infinity's
    type. ``column``: the column of the database. An object without a key was JSON text in the panel.
    """

    name: str
    text: str
    type_: str
    column: Column

    @property
    def is_object(self) -> bool:
        """Return whether the field stands for all keys of its column."""
        return self.column.has_keys and self.name == self.column.name

    @property
    def is_number(self) -> bool:
        """Return whether the field holds numbers."""
        by_name = self.column.name.endswith("_ts")
        return by_name or self.column.kind in {Kind.COUNT, Kind.METRIC, Kind.DERIVED, Kind.ALLOCATION}


def field_name(selector: str) -> str:
    """Return the name of the field that a selector means (``$.a["b"]``, ``a.'b'``, ``a.b``)."""
    path = clean(selector).removeprefix("$.").removeprefix("$$.")
    path = _QUOTED.sub(lambda match: "." + next(group for group in match.groups() if group), path).removeprefix(".")
    if not path or not re.fullmatch(r"[\w.\-:/]+", VARIABLE.sub("x", path)):
        raise CannotRewriteError(f"the selector '{selector}' is not the name of a column or of a key of one")
    return re.sub(r"\.{2,}", ".", path)


def make_query_field(query_type: str, selector: str, text: str = "", type_: str = "string") -> QueryField:
    """Return the field for a selector. A column that the answer never has is a `CannotRewriteError`."""
    name = field_name(selector)
    head, _, key = name.partition(".")
    column = COLUMNS[query_type].get(head)
    if column is None or (key and not column.has_keys):
        if has_variable(head):
            raise CannotRewriteError(f"the selector '{selector}' has a variable in place of a column")
        raise CannotRewriteError(f"{query_type} have no column '{name}'")
    return QueryField(name, clean(text) or name, type_, column)


@dataclass(frozen=True, slots=True)
class CopiedField:
    """A column that a query names a second time, under another text."""

    original: QueryField
    copy: QueryField


def fields_of(
    query_type: str,
    columns: Any,  # noqa: ANN401 - from the dashboard
    asked: list[str],
) -> tuple[list[QueryField], list[CopiedField]]:
    """Read the columns of an Infinity query; without any, the columns that the request asks for (none means all).

    The answer of a query holds each field once. A column of numbers that is there twice is therefore a field and a
    copy, which the panel has to make; a second text or object is a `CannotRewriteError`.
    """
    found = [column for column in objects(columns) if column.get("selector")]
    if not found:
        return [make_query_field(query_type, name) for name in dict.fromkeys(asked) if name in COLUMNS[query_type]], []
    fields: list[QueryField] = []
    copies: list[CopiedField] = []
    for column in found:
        field = make_query_field(query_type, str(column["selector"]), str(column.get("text") or ""), _type(column))
        same = [other for other in fields if other.name == field.name]
        if not same:
            fields.append(field)
        elif field.text not in {other.text for other in (*same, *(item.copy for item in copies))}:
            if not field.is_number or field.is_object:
                raise CannotRewriteError(f"'{field.name}' is there twice, as '{same[0].text}' and as '{field.text}'")
            copies.append(CopiedField(same[0], field))
    return _with_moments(fields), copies


def _type(column: Json) -> str:
    return "" if column.get("untyped") else str(column.get("type") or "string")


def _with_moments(fields: list[QueryField]) -> list[QueryField]:
    """Use the time field instead of milliseconds that the panel reads as a time, unless the query has it already."""
    for field in fields:
        moment = _MOMENTS.get(field.name)
        if moment and field.type_ == "timestamp_epoch" and all(other.name != moment for other in fields):
            field.text, field.name, field.column = field.text, moment, COLUMNS["units"][moment]
    return fields
