"""Suggestions for drop-downs: names, values and keys that the viewer may see.

Values that only units hold (states, keys) are searched in the most recently added units, so that a suggestion is cheap
in a table of any size. Metric keys are also searched in table usage, which holds every key that was ever used.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from enum import StrEnum

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.answers.derived import NEEDS
from ceems_grpc.domain.columns import (
    CLUSTER_COLUMNS,
    PROJECT_COLUMNS,
    STATS_COLUMNS,
    USER_COLUMNS,
    WAITS,
    metric_names,
    unit_columns,
    unit_fields,
    usage_columns,
    usage_fields,
)
from ceems_grpc.domain.key_descriptions import describe_key
from ceems_grpc.domain.questions.limits import MOST_CHARACTERS
from ceems_grpc.domain.questions.model import AsAdmin, Selection
from ceems_grpc.domain.states import STATE, state_of
from ceems_grpc.schema import Column, Kind, Unit
from ceems_grpc.store.columnar.flatten import decode_list, decode_object
from ceems_grpc.store.columnar.json_paths import value_at
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.plan import (
    ALWAYS,
    NEVER,
    AllOf,
    Condition,
    Distinct,
    Holds,
    In,
    KeyScan,
    Scan,
    StartsWith,
    Table,
)
from ceems_grpc.store.protocols import Reader

RECENT = 20_000
MOST = 10_000
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "stats": STATS_COLUMNS,
    "users": USER_COLUMNS,
    "projects": PROJECT_COLUMNS,
    "clusters": CLUSTER_COLUMNS,
}
_EMISSIONS = ("total_cpu_emissions_gms", "total_gpu_emissions_gms")


class SuggestionKind(StrEnum):
    """What is suggested."""

    USERS = "users"
    PROJECTS = "projects"
    CLUSTERS = "clusters"
    RESOURCE_MANAGERS = "resource-managers"
    UUIDS = "uuids"
    STATES = "states"
    METRIC_KEYS = "metric-keys"
    EMISSION_PROVIDERS = "emission-providers"
    TAG_KEYS = "tag-keys"
    TAG_VALUES = "tag-values"
    FIELDS = "fields"


@dataclass(frozen=True, slots=True)
class SuggestQuestion:
    """What to suggest.

    ``prefix``: how values start. ``search``: words, each of which is in the value or its description. Case is ignored.
    ``column``: for metric-keys the metric, for tag-values the column or
    ``column.key``, for fields the query type (units, usage ...).
    """

    kind: SuggestionKind
    prefix: str = ""
    limit: int = 100
    selection: Selection = field(default_factory=Selection)
    column: str = ""
    admin: AsAdmin = "auto"
    search: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A value to choose. Only fields have a ``kind`` and a ``unit``."""

    value: str
    label: str = ""
    description: str = ""
    kind: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The first suggestions in order, whether there are ``more``, and which sources are ``missing``."""

    values: list[Suggestion]
    more: bool
    missing: tuple[Missing, ...] = ()


async def suggest(access: Access, question: SuggestQuestion) -> Suggestions:
    """Return the first suggestions in order."""
    prefix = question.prefix.casefold()
    words = question.search.casefold().split()
    found = [
        suggestion
        for suggestion in await _candidates(access, question)
        if suggestion.value.casefold().startswith(prefix) and _has_words(suggestion, words)
    ]
    if question.kind is not SuggestionKind.FIELDS:
        found.sort(key=_sort_key(found))
    limit = min(question.limit, MOST)
    return Suggestions(found[:limit], len(found) > limit)


def _has_words(suggestion: Suggestion, words: list[str]) -> bool:
    if not words:
        return True
    text = f"{suggestion.value}\n{suggestion.label}\n{suggestion.description}".casefold()
    return all(word in text for word in words)


async def _candidates(access: Access, question: SuggestQuestion) -> list[Suggestion]:
    match question.kind:
        case SuggestionKind.USERS:
            return _values(await _users(access, question))
        case SuggestionKind.PROJECTS:
            return _values(await _projects(access, question))
        case SuggestionKind.CLUSTERS:
            return [Suggestion(cluster, cluster, manager) for cluster, manager in await _clusters(access, question)]
        case SuggestionKind.RESOURCE_MANAGERS:
            return _values({manager for _, manager in await _clusters(access, question)})
        case SuggestionKind.UUIDS:
            return await _uuids(access, question)
        case SuggestionKind.STATES:
            return _values(await _recent(access, question, STATE))
        case SuggestionKind.METRIC_KEYS:
            metrics = sorted(metric_names(usage_columns(access.reader)))
            columns = tuple(name for name in metrics if question.column in {"", name})
            return _values(await _metric_keys(access, question, columns))
        case SuggestionKind.EMISSION_PROVIDERS:
            keys = await _metric_keys(access, question, _EMISSIONS)
            return [Suggestion(key, key.removesuffix("_total")) for key in sorted(keys)]
        case SuggestionKind.TAG_KEYS:
            return await _tag_keys(access, question)
        case SuggestionKind.TAG_VALUES:
            return _values(await _tag_values(access, question))
        case SuggestionKind.FIELDS:
            return await _fields(access, question)


def _sort_key(found: list[Suggestion]) -> Callable[[Suggestion], str | float]:
    """Return what suggestions are sorted by: their numbers if all are numbers, otherwise their texts."""
    try:
        numbers = {suggestion.value: float(suggestion.value) for suggestion in found}
    except ValueError:
        return lambda suggestion: suggestion.value
    return lambda suggestion: numbers[suggestion.value]


def _values(values: set[str]) -> list[Suggestion]:
    return [Suggestion(value, value) for value in values if value]


async def _users(access: Access, question: SuggestQuestion) -> set[str]:
    found: set[str] = set()
    if access.as_admin:
        where = AllOf(
            (
                access.either(ALWAYS, NEVER),
                *_clusters_chosen(question),
                StartsWith("name", question.prefix),
                *([Holds("projects", question.selection.projects)] if question.selection.projects else []),
            )
        )
        found = await _distinct(access, Distinct(Table.USERS, ("name",), where, MOST + 1))
        if access.clusters is None or not access.also_own:
            return found
    # Members of a project see each other's usage, so they may see each other's names.
    members: set[str] = {access.viewer.login}
    wanted = [In("name", question.selection.projects)] if question.selection.projects else []
    where = AllOf((*_clusters_chosen(question), *wanted, Holds("users", (access.viewer.login,))))
    for text in (await access.reader.table(Scan(Table.PROJECTS, ("users",), where))).column(0).to_pylist():
        members.update(map(str, decode_list(text)))
    return found | members


async def _projects(access: Access, question: SuggestQuestion) -> set[str]:
    users = question.selection.users
    mine = access.either(Holds("users", users) if users else ALWAYS, Holds("users", (access.viewer.login,)))
    where = AllOf((*_clusters_chosen(question), mine, StartsWith("name", question.prefix)))
    return await _distinct(access, Distinct(Table.PROJECTS, ("name",), where, MOST + 1))


async def _clusters(access: Access, question: SuggestQuestion) -> set[tuple[str, str]]:
    mine = access.either(ALWAYS, Holds("users", (access.viewer.login,)))
    where: Condition = AllOf((*_clusters_chosen(question), mine))
    found = await access.reader.distinct(Distinct(Table.PROJECTS, ("cluster_id", "resource_manager"), where))
    return {(cluster, manager or "") for cluster, manager in _pairs(found.to_pydict()) if cluster}


def _pairs(columns: dict[str, list[str]]) -> list[tuple[str, str]]:
    return list(zip(columns["cluster_id"], columns["resource_manager"], strict=True))


async def _uuids(access: Access, question: SuggestQuestion) -> list[Suggestion]:
    where = AllOf((await _visible_units(access, question), StartsWith("uuid", question.prefix)))
    recent = RECENT if access.as_admin and not question.prefix else None
    columns = (
        "uuid",
        "name",
        "username",
        *(("started_at_ts",) if access.reader.has(Table.UNITS, "started_at_ts") else ()),
    )
    rows = (await access.reader.distinct(Distinct(Table.UNITS, columns, where, MOST + 1, recent))).to_pylist()
    started: dict[tuple[str, str, str], int] = {}  # a unit may have several runs
    for row in rows:
        unit = row["uuid"], row["name"] or "", row["username"] or ""
        started[unit] = max(started.get(unit, 0), int(row.get("started_at_ts") or 0))
    return [
        Suggestion(uuid, uuid, f"{name} ({user}){_since(latest, access.reader.zone)}")
        for (uuid, name, user), latest in started.items()
        if uuid
    ]


def _since(start: int, zone: tzinfo) -> str:
    """Write the day of a start (milliseconds), because another unit may have had the same uuid years ago."""
    return f", started {datetime.fromtimestamp(start / 1000, zone):%Y-%m-%d}" if start > 0 else ""


async def _recent(access: Access, question: SuggestQuestion, column: str) -> set[str]:
    where = await _visible_units(access, question)
    found = await _distinct(access, Distinct(Table.UNITS, (column,), where, None, RECENT))
    return set(map(state_of, found)) if column == STATE else found


async def _distinct(access: Access, plan: Distinct) -> set[str]:
    found = await access.reader.distinct(plan)
    return {str(value) for value in found.column(0).to_pylist() if value}


async def _metric_keys(access: Access, question: SuggestQuestion, columns: tuple[str, ...]) -> set[str]:
    keys: set[str] = set()
    for names in (await _keys_of_metrics(access, question, columns)).values():
        keys.update(names)
    return keys


async def _keys_of_metrics(
    access: Access, question: SuggestQuestion, columns: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    usage = AllOf((*_clusters_chosen(question), await access.usage((), ())))
    units = await _visible_units(access, question)
    found: dict[str, set[str]] = {column: set() for column in columns}
    for table, where, recent in ((Table.USAGE, usage, None), (Table.UNITS, units, RECENT)):
        present = tuple(column for column in columns if access.reader.has(table, column))
        for column, keys in (await access.reader.keys(KeyScan(table, present, where, recent))).items():
            found[column].update(keys)
    return {column: tuple(sorted(keys)) for column, keys in found.items()}


async def _tag_keys(access: Access, question: SuggestQuestion) -> list[Suggestion]:
    plain = [c for c in unit_columns(access.reader) if c.kind is Kind.IDENTITY]
    keys = await _keys_of_objects(access, question)
    found = [Suggestion(column.name, column.name, column.description) for column in plain]
    found += [Suggestion(f"{column}.{key}", f"{column}.{key}") for column, names in keys.items() for key in names]
    return found


async def _tag_values(access: Access, question: SuggestQuestion) -> set[str]:
    head, _, key = question.column.partition(".")
    column = next((c for c in unit_columns(access.reader) if c.name == head), None)
    if column is None or column.has_keys != bool(key):
        return set()
    if not key:
        return await _recent(access, question, head)
    where = await _visible_units(access, question)
    texts = await _distinct(access, Distinct(Table.UNITS, (head,), where, None, RECENT))
    values = (value_at(decode_object(text, numeric=False), key) for text in texts)
    written = (value if isinstance(value, str) else json.dumps(value) for value in values if value is not None)
    return {text for text in written if len(text) <= MOST_CHARACTERS}  # a filter cannot name a longer one


async def _fields(access: Access, question: SuggestQuestion) -> list[Suggestion]:
    columns = _columns_of(access.reader, question.column)
    keys: dict[str, tuple[str, ...]] = {}
    if any(column.has_keys for column in columns):
        keys = await _keys_of_metrics(access, question, tuple(sorted(metric_names(usage_columns(access.reader)))))
    if question.column in {"", "units"}:
        keys |= await _keys_of_objects(access, question)
    found: list[Suggestion] = []
    for column in columns:
        found.append(_field(column, ""))
        found += [_field(column, key) for key in _keys_of(column, keys)]
    return found


def _columns_of(reader: Reader, kind: str) -> tuple[Column, ...]:
    if kind in {"usage", "usage-over-time"}:
        return (*usage_fields(reader), *(WAITS if kind == "usage" else ()))
    return _COLUMNS.get(kind) or unit_fields(reader)


async def _keys_of_objects(access: Access, question: SuggestQuestion) -> dict[str, tuple[str, ...]]:
    columns = unit_columns(access.reader)
    names = tuple(column.name for column in columns if column.has_keys and column.kind is not Kind.METRIC)
    where = await _visible_units(access, question)
    return await access.reader.keys(KeyScan(Table.UNITS, names, where, RECENT))


def _keys_of(column: Column, keys: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    if not column.has_keys:
        return ()
    if column.kind is not Kind.DERIVED:
        return keys.get(column.name, ())
    needed = [name for name in NEEDS[column.name] if name != "total_time_seconds"]
    return tuple(sorted({key for name in needed for key in keys.get(name, ())}))


def _field(column: Column, key: str) -> Suggestion:
    name = f"{column.name}.{key}" if key else column.name
    unit = column.unit_of(key)
    description = describe_key(column, key)
    return Suggestion(name, name, description, str(column.kind), "" if unit is Unit.MOMENT else str(unit))


def _clusters_chosen(question: SuggestQuestion) -> tuple[Condition, ...]:
    return (In("cluster_id", question.selection.clusters),) if question.selection.clusters else ()


async def _visible_units(access: Access, question: SuggestQuestion) -> Condition:
    selection = question.selection
    conditions = [await access.units(selection.users if access.as_admin else (), selection.projects)]
    conditions += _clusters_chosen(question)
    if selection.projects:
        conditions.append(In("project", selection.projects))
    return AllOf(tuple(conditions))
