"""Answers about usage: what users and projects have used, summed from units, from days, or as the database keeps it.

Totals are sums per key, averages are weighted means over the units that have the value, with the weights that the
writer of CEEMS itself uses. A group has no value (not 0) for what none of its units has a value of.
"""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.ceems.access import Access
from ceems_grpc.ceems.answer import Answer, cut
from ceems_grpc.ceems.derived import NEEDS, WEIGHTED_SUM, add_derived
from ceems_grpc.ceems.errors import bad_data
from ceems_grpc.ceems.fields import Fields, choose_fields
from ceems_grpc.ceems.filters import chosen
from ceems_grpc.ceems.metrics import DERIVED, GROUPS, METRICS, USAGE_COLUMNS, WEIGHTS, Column
from ceems_grpc.ceems.ordering import check_order, sort_table
from ceems_grpc.ceems.questions import Mode, OrderBy, Source, UsageOverTimeQuestion, UsageQuestion
from ceems_grpc.ceems.window import DAY, Window
from ceems_grpc.store.base import Reader
from ceems_grpc.store.errors import StoreSchemaError
from ceems_grpc.store.plan import (
    Aggregate,
    AllKeys,
    AllOf,
    Condition,
    Count,
    FirstBy,
    In,
    Instant,
    Key,
    KeyScan,
    Measure,
    Order,
    Scan,
    Sum,
    Table,
    WeightedSum,
    WeightOf,
    Within,
)

_ORDER = (Order("cluster_id"), Order("username"), Order("project"))
_COLUMNS = {column.name: column for column in (*USAGE_COLUMNS, *DERIVED)}
_METRIC_NAMES = frozenset(column.name for column in METRICS)
_PLAIN = frozenset({*GROUPS, "num_units"})
_WEIGHT = "#weight"  # suffix of a helper column, as WEIGHTED_SUM is
_MOMENT = pa.timestamp("s", "UTC")


def normalised(question: UsageQuestion) -> UsageQuestion:
    """Return the question in the form that equal questions share: its window is the one that is really summed."""
    if question.mode is Mode.GLOBAL:
        return replace(question, window=Window(0, 0), source=Source.UNITS)
    return replace(question, window=question.window.rounded())


async def usage(access: Access, question: UsageQuestion) -> Answer:
    """Answer with one row per group; metrics are taken apart by key."""
    fields = choose_fields(question.fields, _COLUMNS.values(), _default_columns(question))
    check_order(question.order, frozenset(_COLUMNS))
    groups = check_groups(question.group_by)
    where = await _where(access, question)
    metrics = _needed_metrics(fields, question.order)
    if question.mode is Mode.GLOBAL and not question.exact_groups:
        table = await _as_kept(access.reader, where, metrics)
    else:
        table = await _summed(access.reader, question, groups, where, metrics)
    table = add_derived(table, _needed_derived(fields, question.order))
    table = sort_table(table, question.order)
    table, warnings = cut(table, question.limit, "rows")
    return Answer(fields.select(table), _COLUMNS, warnings + fields.warnings())


async def usage_over_time(access: Access, question: UsageOverTimeQuestion) -> Answer:
    """Answer with one row per UTC day and group, from daily_usage: column ``time`` (start of the day), groups, metrics.

    Every UTC day that the window touches counts as a whole, since days are what the database keeps.
    """
    groups = check_groups(question.group_by)
    asked = question.fields or ("total_energy_usage_kwh",)
    fields = choose_fields(asked, [column for name, column in _COLUMNS.items() if name not in GROUPS])
    where = AllOf(
        (
            await access.usage(question.choice.users, question.choice.projects),
            *_only_users(access, question.choice.users),
            chosen(question.choice, _PLAIN, frozenset()),
            Within(Instant.UPDATED, question.window.start // DAY * DAY, question.window.end),
        )
    )
    metrics = _needed_metrics(fields, ())
    reader = access.reader
    if not reader.has(Table.DAILY_USAGE):
        raise StoreSchemaError(
            "This CEEMS database has no table daily_usage, from which usage over time is answered; "
            "it was made by an older version of CEEMS."
        )
    keys = await reader.keys(KeyScan(Table.DAILY_USAGE, _readable(reader, Table.DAILY_USAGE, metrics), where))
    plan = Aggregate(
        Table.DAILY_USAGE,
        groups,
        (Sum("num_units", "num_units"), *_measures(keys)),
        where,
        tuple(Order(name) for name in (*groups, "day")),
        day=True,
    )
    table = _finished(await reader.aggregate(plan), keys)
    table = add_derived(table, _needed_derived(fields, ()))
    shown = fields.select(table)
    moments = pc.cast(table.column("day"), _MOMENT)
    for name in reversed(groups):
        shown = shown.add_column(0, name, table.column(name)) if name not in shown.column_names else shown
    return Answer(shown.add_column(0, "time", moments), _COLUMNS, fields.warnings())


def check_groups(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names by which to group; others than the listed ones are an error."""
    for name in names:
        if name not in GROUPS:
            raise bad_data(f"cannot group by '{name}': use {', '.join(GROUPS)}")
    return tuple(dict.fromkeys(names))


async def _where(access: Access, question: UsageQuestion) -> Condition:
    objects = frozenset() if question.mode is Mode.GLOBAL else _METRIC_NAMES
    conditions: list[Condition] = [
        await access.usage(question.choice.users, question.choice.projects),
        chosen(question.choice, _PLAIN, objects),
        *_only_users(access, question.choice.users),
    ]
    if question.mode is Mode.CURRENT:
        window = normalised(question).window
        conditions.append(Within(Instant.UPDATED, window.start, window.end))
    return AllOf(tuple(conditions))


def _only_users(access: Access, users: tuple[str, ...]) -> tuple[Condition, ...]:
    # A member who names users sees just their rows; an administrator sees their projects' rows, as the API has it.
    return () if access.as_admin or not users else (In("username", users),)


def _default_columns(question: UsageQuestion) -> tuple[Column, ...]:
    hidden = set(GROUPS) - set(question.group_by) if question.exact_groups else set()
    return tuple(column for name, column in _COLUMNS.items() if name not in hidden)


def _needed_derived(fields: Fields, order: tuple[OrderBy, ...]) -> tuple[str, ...]:
    ordered = {item.field.partition(".")[0] for item in order}
    return tuple(column.name for column in DERIVED if fields.has(column.name) or column.name in ordered)


def _needed_metrics(fields: Fields, order: tuple[OrderBy, ...]) -> tuple[str, ...]:
    needed = {column.name for column in fields.columns} | {item.field.partition(".")[0] for item in order}
    for name in _needed_derived(fields, order):
        needed.update(NEEDS[name])
    return tuple(column.name for column in METRICS if column.name in needed)


def _readable(reader: Reader, table: Table, metrics: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in metrics if reader.has(table, name))


async def _as_kept(reader: Reader, where: Condition, metrics: tuple[str, ...]) -> pa.Table:
    plain = tuple(column.name for column in USAGE_COLUMNS if not column.has_keys)
    keyed = tuple(AllKeys(name) for name in _readable(reader, Table.USAGE, metrics))
    return await reader.table(Scan(Table.USAGE, (*plain, *keyed), where, _ORDER))


async def _summed(
    reader: Reader, question: UsageQuestion, groups: tuple[str, ...], where: Condition, metrics: tuple[str, ...]
) -> pa.Table:
    if question.mode is Mode.GLOBAL:
        source = Table.USAGE
    else:
        source = Table.DAILY_USAGE if question.source is Source.DAILY else Table.UNITS
    by = groups if question.exact_groups else tuple(dict.fromkeys(("username", "project", *groups)))
    keys = await reader.keys(KeyScan(source, _readable(reader, source, metrics), where))
    count: Measure = Count("num_units") if source is Table.UNITS else Sum("num_units", "num_units")
    # What is not grouped by is shown of the group's first cluster.
    rest = [FirstBy(name, name, "cluster_id") for name in GROUPS if name not in by] if not question.exact_groups else []
    order = tuple(Order(name) for name in by) if question.exact_groups else _ORDER
    plan = Aggregate(source, by, (count, *rest, *_measures(keys)), where, order)
    table = await reader.aggregate(plan)
    if not by and table.column("num_units").to_pylist() == [0]:
        table = table.slice(0, 0)  # a sum over nothing is no row
    return _finished(table, keys)


def _measures(keys: dict[str, tuple[str, ...]]) -> list[Measure]:
    measures: list[Measure] = []
    for metric, names in keys.items():
        for name in names:
            value = Key(metric, name)
            if metric in WEIGHTS:
                weight = Key("total_time_seconds", WEIGHTS[metric])
                measures.append(WeightedSum(f"{value}{WEIGHTED_SUM}", value, weight))
                measures.append(WeightOf(f"{value}{_WEIGHT}", value, weight))
            else:
                measures.append(Sum(str(value), value))
    return measures


def _finished(table: pa.Table, keys: dict[str, tuple[str, ...]]) -> pa.Table:
    """Divide weighted sums into means: 0 where all weights are 0, null where no unit has the value."""
    for metric, names in keys.items():
        for name in names if metric in WEIGHTS else ():
            column = f"{metric}.{name}"
            weighted, weights = table.column(column + WEIGHTED_SUM), table.column(column + _WEIGHT)
            weightless = pc.equal(weights, 0.0)
            means = pc.divide(weighted, pc.if_else(weightless, 1.0, weights))
            table = table.append_column(column, pc.if_else(weightless, 0.0, means))
            table = table.drop_columns([column + _WEIGHT])
    return table
