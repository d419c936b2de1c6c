"""The report of a query in Grafana's query inspector: how it was answered, and how long that took.

Administrators of the Grafana organisation see the statements that ran, with their parameters. Other users see only a
description of the question, because statements can name users and projects that these users may not know about.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import Enum

import msgspec

from ceems_grpc.domain.questions.model import (
    Classes,
    Filter,
    OrderBy,
    Selection,
    StatsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
)
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.grafana import Frame, FrameMeta, QueryStat
from ceems_grpc.store.runtime.query_trace import QueryTrace, TracedStatement

_LONGEST = 64 * 1024  # characters; every answer sends this text to the browser


@dataclass(frozen=True, slots=True)
class Times:
    """How long a query took, in seconds: in total, and for making its frames (part of the total)."""

    total: float
    frames: float


def reported(
    frames: list[Frame], kind: str, question: object, trace: QueryTrace, times: Times, *, statements: bool
) -> list[Frame]:
    """Return the frames with the report in the first one only, because the inspector adds up all frames.

    ``question`` is one of `ceems_grpc.domain.questions.model`. ``statements``: whether the user may see SQL.
    """
    if not frames:
        return frames
    first = frames[0]
    text = executed_text(describe(kind, question), trace, statements=statements)
    stats = query_stats(sum(frame.num_rows for frame in frames), trace, times)
    meta = msgspec.structs.replace(first.meta or FrameMeta(), executed_query=text, stats=stats)
    return [replace(first, meta=meta), *frames[1:]]


def query_stats(rows: int, trace: QueryTrace, times: Times) -> list[QueryStat]:
    """Return numbers of rows and statements by store, and milliseconds of waiting, engine, frames and in total."""
    stats = [_stat("Rows of the answer", rows)]
    for store in trace.stores:
        read = [statement for statement in trace.statements if statement.store == store]
        stats.append(_stat(f"Statements, {store}", len(read)))
        stats.append(_stat(f"Rows read, {store}", sum(statement.rows for statement in read)))
    if trace.kept_for is not None:
        stats.append(_stat("Kept for", round(trace.kept_for, 1), "s"))
    stats += [
        _stat("Waiting", _milliseconds(trace.waited), "ms"),
        _stat("Engine", _milliseconds(trace.engine_seconds), "ms"),
        _stat("Frames", _milliseconds(times.frames), "ms"),
        _stat("Total in the plugin", _milliseconds(times.total), "ms"),
    ]
    return stats


def _stat(name: str, value: float, unit: str = "") -> QueryStat:
    return QueryStat(display_name=name, value=value, unit=unit)


def executed_text(description: str, trace: QueryTrace, *, statements: bool) -> str:
    """Return the text for the inspector's Query tab."""
    lines = [description, *_origin(trace)]
    if not statements:
        return "\n".join(lines)
    blocks = ["\n".join(f"-- {line}" for line in lines)]
    blocks += [_block(statement) for statement in (*trace.statements, *trace.earlier)]
    text = "\n\n".join(blocks)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n-- … ({len(text)} characters)"


def describe(kind: str, question: object) -> str:
    """Describe a question in one line: its kind, and every part that differs from the default."""
    parts = [_part(name, value) for name, value in _asked(question)]
    return "; ".join([kind, *parts])


def _asked(question: object) -> Iterable[tuple[str, object]]:
    for field in fields(question):  # type: ignore[arg-type]  # all questions are dataclasses
        value = getattr(question, field.name)
        if isinstance(value, Selection | UsageQuestion | StatsQuestion | UsageOverTimeQuestion):
            yield from _asked(value)
        elif isinstance(value, Enum) or (value is not None and value is not False and value != ()):
            yield field.name, value


def _part(name: str, value: object) -> str:
    label = name.replace("_", " ")
    if value is True:
        return label
    if isinstance(value, Window):
        return f"{_moment(value.start)} to {_moment(value.end)}"
    if isinstance(value, tuple):
        return f"{label} {', '.join(map(_one, value))}"
    return f"{label} {_one(value)}"


def _one(value: object) -> str:
    if isinstance(value, Filter):
        return f"{value.key} {value.operator} {' '.join(value.values)}"
    if isinstance(value, Classes):
        return f"{value.key} {' '.join(map(str, value.bounds))}"
    if isinstance(value, OrderBy):
        return f"{value.field} descending" if value.descending else value.field
    return str(value)


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _origin(trace: QueryTrace) -> list[str]:
    if trace.kept_for is not None:
        return [f"This answer was kept for {trace.kept_for:.0f} s; it is given again while the database is the same."]
    if trace.shared:
        return ["This answer was computed for an equal question that was asked at the same time."]
    return []


def _block(statement: TracedStatement) -> str:
    head = f"-- {statement.store} ({statement.engine}): {statement.rows} rows, {_milliseconds(statement.seconds)} ms"
    given = _parameters(statement)
    return "\n".join([head, *given, statement.text])


def _parameters(statement: TracedStatement) -> Sequence[str]:
    given = statement.parameters
    if not given:
        return ()
    shown = (
        ", ".join(f"{name} = {value!r}" for name, value in given.items())
        if hasattr(given, "items")
        else ", ".join(map(repr, given))
    )
    return (f"-- parameters: {shown}",)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
