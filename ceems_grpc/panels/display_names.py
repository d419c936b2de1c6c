"""The names under which Grafana shows frames and fields, by the ``legend`` of a query; docs/query.md, "Legends".

Names of fields never change: overrides, transformations and rules rely on them. Only Grafana's display names do.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import msgspec
import pyarrow as pa

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.answers.comparison import CHANGE, PREVIOUS
from ceems_grpc.grafana import Field, FieldConfig, Frame
from ceems_grpc.panels.titles import title_of
from ceems_grpc.schema import Kind
from ceems_grpc.store.runtime.cancellation import until_cancelled

NAMES, AUTO = "names", "auto"
"""Legends with a meaning of their own: the names of columns, and the shortest names that tell fields apart."""
_PART = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_LONGEST = 200  # characters of a display name
_MOST_COMPARED = 64 * 1024  # bytes of other queries that are decoded
_SUFFIXES = {PREVIOUS: ", previous", CHANGE: ", change"}


class Beside(Enum):
    """Which other queries a request has."""

    NONE = "none"
    DIFFERENT = "different"  # none that can have the same names
    ALIKE = "alike"


class _Other(msgspec.Struct):
    fields: list[str] = []


@dataclass(frozen=True, slots=True)
class Naming:
    """How the frames of one query are named. ``labels``: the groups of series, in order. ``ref_id``: the query's."""

    legend: str
    ref_id: str = ""
    labels: tuple[str, ...] = ()
    beside: Beside = Beside.NONE


def beside(fields: Sequence[str], others: Sequence[bytes]) -> Beside:
    """Return whether a request has other queries, and whether they can show the same columns as ``fields``.

    ``others``: the JSON of the other queries. A query without fields shows all columns.
    """
    if not others:
        return Beside.NONE
    columns = {_head(name) for name in fields}
    if not columns or sum(map(len, others)) > _MOST_COMPARED:
        return Beside.ALIKE
    for json in others:
        try:
            named = {_head(name) for name in msgspec.json.decode(json, type=_Other).fields}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # it is answered with an error
        if not named or named & columns:
            return Beside.ALIKE
    return Beside.DIFFERENT


def with_display_names(frames: list[Frame], answer: Answer, naming: Naming) -> list[Frame]:
    """Return the frames with a display name for each field, and with names that tell queries of a panel apart.

    The time field of series keeps its name. Naming takes long for many series: do it in a thread.
    """
    if naming.legend == NAMES:
        return frames
    names = [field.name for frame in frames for field in frame.fields if _is_named(field)]
    titles = _titles(answer, list(dict.fromkeys(names)))
    single = len({_split(name)[0] for name in titles}) == 1
    suffix = f" {naming.ref_id}" if naming.beside is not Beside.NONE else ""

    def renamed(field: Field) -> Field:
        if not _is_named(field):
            return field
        labels = {name: (field.labels or {}).get(name, "") for name in naming.labels}
        shown = _display_name(field.name, titles[field.name], labels, naming, single=single)
        if naming.legend == AUTO and naming.beside is Beside.ALIKE and _is_number(field):
            shown = f"{shown} ({naming.ref_id})"  # texts keep their name, so that tables can be joined by them
        config = msgspec.structs.replace(field.config or FieldConfig(), display_name_from_ds=_cut(shown))
        return replace(field, config=config)

    return [
        replace(frame, name=frame.name + suffix, fields=[renamed(field) for field in until_cancelled(frame.fields)])
        for frame in frames
    ]


def _is_named(field: Field) -> bool:
    return not (field.config is not None and field.config.interval)


def _is_number(field: Field) -> bool:
    type_ = field.data.type
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))


def _display_name(name: str, title: str, labels: Mapping[str, str], naming: Naming, *, single: bool) -> str:
    if naming.legend != AUTO:
        values = {**labels, "metric": title, "field": name, "refId": naming.ref_id}
        return _PART.sub(lambda part: values.get(part[1], ""), naming.legend)
    group = ", ".join(value or "(none)" for value in labels.values())
    if not group:
        return title
    if single and naming.beside is Beside.NONE:
        return group + _SUFFIXES.get(_split(name)[1], "")
    return f"{group}: {title}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _head(name: str) -> str:
    return name.partition(".")[0]


def _titles(answer: Answer, names: list[str]) -> dict[str, str]:
    """Return the title of each column. The key of a metric is left out if it is the only one."""
    bases = {name: _split(name)[0] for name in names}
    keys: dict[str, set[str]] = {}
    for base in bases.values():
        head, _, key = base.partition(".")
        keys.setdefault(head, set()).add(key)
    titles: dict[str, str] = {}
    for name, base in bases.items():
        column = answer.column_of(name)
        head, _, key = base.partition(".")
        kept = column.kind in {Kind.TAG, Kind.ALLOCATION} or len(keys[head]) > 1
        suffix = _SUFFIXES.get(_split(name)[1], "")
        titles[name] = title_of(head, key if kept else "", column.unit_of(column.key_in(name)), suffix)
    return titles


def _split(name: str) -> tuple[str, str]:
    """Return the name of a column without what a comparison adds to it, and what it adds."""
    suffix = next((each for each in _SUFFIXES if name.endswith(each)), "")
    return name.removesuffix(suffix), suffix
