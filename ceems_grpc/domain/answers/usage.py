"""Answers about usage: the consumption of users and projects, summed from units or days, or read from table usage.

Totals are sums per key. Averages are weighted means over the units that have the value, with the weights that CEEMS
itself uses. If no unit of a group has a value, the group has no value either (not 0). Prorated usage, and usage over
time from units, scale each unit's totals and weights by the fraction of its run that lies within the time.
"""

from dataclasses import replace
from datetime import UTC

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.answers.answer import Answer, truncate
from ceems_grpc.domain.answers.derived import WEIGHTED_SUM, add_derived, derived_among, with_needs
from ceems_grpc.domain.answers.filtering import rows_of
from ceems_grpc.domain.answers.grouping import aggregate, described, notices, ranked, spread
from ceems_grpc.domain.answers.superseded import counted_without_superseded, without_superseded
from ceems_grpc.domain.answers.waiting import add_waits, mentioned_waits
from ceems_grpc.domain.columns import DERIVED, USAGE_COLUMNS, WAITS, metric_names, usage_columns
from ceems_grpc.domain.questions.fields import choose_fields
from ceems_grpc.domain.questions.filters import Filterable
from ceems_grpc.domain.questions.groups import ValueGroup, check_groups, check_source, value_groups
from ceems_grpc.domain.questions.model import Mode, Selection, Source, UsageOverTimeQuestion, UsageQuestion
from ceems_grpc.domain.questions.ordering import check_order, sort_table
from ceems_grpc.domain.questions.steps import TimeSteps, steps_of
from ceems_grpc.domain.questions.window import DAY, Window
from ceems_grpc.schema import GROUPS, TIMES, Aggregation, Column, Kind, column_named
from ceems_grpc.store.plan import (
    Aggregate,
    AllKeys,
    Condition,
    Count,
    FirstBy,
    Instant,
    Key,
    KeyScan,
    Max,
    Measure,
    Min,
    Order,
    RanWithin,
    Scan,
    Spread,
    Sum,
    Table,
    WeightedSum,
    WeightOf,
    Within,
)
from ceems_grpc.store.protocols import KnowsKeys, Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable

_ORDER = (Order("cluster_id"), Order("username"), Order("project"))
_PLAIN = frozenset({*GROUPS, "num_units"})
_WEIGHT = "#weight."  # prefix of a helper column, like WEIGHTED_SUM
_ROWS = "#rows"
_ZERO, _ONE = pa.scalar(0.0), pa.scalar(1.0)  # made once: see `derived`

_NO_DAYS = "This database has no table daily_usage; it was made by an older version of CEEMS."

Keys = dict[str, tuple[str, ...]]
"""The keys of each metric."""


def normalize(question: UsageQuestion) -> UsageQuestion:
    """Return the form that equivalent questions share. Its window is the one that is summed."""
    if question.mode is Mode.GLOBAL:
        return replace(question, window=Window(0, 0), source=Source.UNITS, rounds_window=False)
    if question.source is Source.UNITS or question.rounds_window:
        return replace(question, window=question.window.rounded(), rounds_window=False)
    return question


async def usage(access: Access, question: UsageQuestion, now: int) -> Answer:
    """Answer a question in the form of `normalize`: one row per group, one column per key of a metric.

    ``now``: seconds since the epoch, until which units without a start wait.
    """
    by = groups_of(question)
    values = value_groups(question.group_by, question.classes)
    check_source(values, question.mode, question.source)
    columns = described(values) | _columns(access.reader) | {column.name: column for column in WAITS}
    metrics = metric_names(columns.values())
    fields = choose_fields(question.fields, columns.values(), _default_columns(question, columns))
    check_order(question.order, frozenset(columns))
    current = question.mode is Mode.CURRENT
    timely = _timely(question) if current else None
    conditions = await _conditions(access, question.selection, by, timely)
    among = Filterable(_PLAIN, metrics if current else frozenset())
    where, passed = await rows_of(access.reader, _table_of(question), question.selection, among, conditions)
    mentioned = fields.mentioned(question.order)
    needed = _metrics_of(mentioned, columns)
    waits = mentioned_waits(mentioned, question)
    if waits:  # of units, whose superseded rows are looked for once
        where = where if question.every_row else await without_superseded(access.reader, where)
        table = await _summed(access.reader, question, values, where, needed)
        table = await add_waits(access.reader, question, by, where, table, now=now)
    elif question.mode is Mode.GLOBAL and not question.exact_groups:
        table = await _as_kept(access.reader, where, needed)
    else:
        table = await _summed_once(access.reader, question, values, where, needed)

    def finish() -> Answer:
        derived = add_derived(table, derived_among(mentioned))
        ordered = sort_table(derived, question.order, ranked(derived, values))
        cut, warnings = truncate(ordered, question.limit, "rows")
        told = (*notices(table, values), *_own_only(access, by), *passed)
        return Answer(fields.select(cut), columns, (*warnings, *fields.warnings(), *told))

    return await run_cancellable(finish)


async def usage_over_time(access: Access, question: UsageOverTimeQuestion) -> tuple[Answer, TimeSteps]:
    """Answer with one row per group and step: groups, ``step`` (index into the steps), metrics.

    Days, weeks and months of UTC are read from daily_usage. Every UTC day that the window touches counts as a whole.
    Other steps are computed from the units that ran within the window: the totals of each are spread evenly over its
    whole run, and what lies in the window counts. The steps add up to the prorated usage of the window.
    """
    groups = check_groups(question.group_by)
    values = value_groups(groups, question.classes)
    check_source(values, Mode.CURRENT, question.source)
    asked = question.fields or ("total_energy_usage_kwh",)
    columns = _columns(access.reader)
    fields = choose_fields(asked, [column for name, column in columns.items() if name not in GROUPS])
    zone = access.reader.zone if question.zone is None else question.zone
    daily = _days_serve(access.reader, question)
    steps = steps_of(question.window, question.step, UTC if daily else zone)
    read = _from_days if daily else _from_units
    mentioned = fields.mentioned(())
    table, keys, passed = await read(access, question, groups, _metrics_of(mentioned, columns), steps)

    def finish() -> Answer:
        derived = add_derived(_finished(table, keys), derived_among(mentioned))
        shown = fields.select(derived)
        for name in ("step", *reversed(groups)):
            shown = shown.add_column(0, name, derived.column(name))
        told = (*notices(table, values), *_own_only(access, groups), *passed)
        return Answer(shown, columns, (*fields.warnings(), *told))

    answer = await run_cancellable(finish)
    if _asks_days(question) and not daily:
        answer = replace(answer, warnings=(*answer.warnings, f"{_NO_DAYS} The steps are summed from units."))
    return answer, steps


def _days_serve(reader: Reader, question: UsageOverTimeQuestion) -> bool:
    return _asks_days(question) and reader.has(Table.DAILY_USAGE)


def _asks_days(question: UsageOverTimeQuestion) -> bool:
    if question.source is not Source.DAILY or question.step.is_within_day:
        return False
    return question.zone is None or str(question.zone) in {"UTC", "Etc/UTC"}


async def _from_days(
    access: Access, question: UsageOverTimeQuestion, groups: tuple[str, ...], metrics: tuple[str, ...], steps: TimeSteps
) -> tuple[pa.Table, Keys, tuple[str, ...]]:
    reader = access.reader
    days = Within(Instant.UPDATED, question.window.start // DAY * DAY, question.window.end)
    conditions = await _conditions(access, question.selection, groups, days)
    where, passed = await rows_of(reader, Table.DAILY_USAGE, question.selection, Filterable(_PLAIN), conditions)
    keys = await reader.keys(KeyScan(Table.DAILY_USAGE, _readable(reader, Table.DAILY_USAGE, metrics), where))
    measures = (Sum("num_units", "num_units"), *_measures(keys))
    by_day = await reader.aggregate(Aggregate(Table.DAILY_USAGE, groups, measures, where, day=True))

    def by_step() -> pa.Table:
        indexes = pa.array([steps.index(day) for day in by_day.column("day").to_pylist()], pa.int64())
        names = [measure.name for measure in measures]
        stepped = by_day.append_column("step", indexes).group_by([*groups, "step"], use_threads=False)
        summed = stepped.aggregate([(measure.name, _how_days_add_up(measure)) for measure in measures])
        summed = summed.rename_columns([*groups, "step", *names])
        return summed.sort_by([(name, "ascending") for name in (*groups, "step")])

    return await run_cancellable(by_step), keys, passed


async def _from_units(
    access: Access, question: UsageOverTimeQuestion, groups: tuple[str, ...], metrics: tuple[str, ...], steps: TimeSteps
) -> tuple[pa.Table, Keys, tuple[str, ...]]:
    reader = access.reader
    window = question.window
    objects = metric_names(usage_columns(reader))
    conditions = await _conditions(access, question.selection, groups, RanWithin(window.start, window.end))
    where, passed = await rows_of(reader, Table.UNITS, question.selection, Filterable(_PLAIN, objects), conditions)
    where = await without_superseded(reader, where)
    known, keys = await _keys(reader, Table.UNITS, metrics, where)
    measures = (Count("num_units"), *_measures(keys))
    starts = (
        window.start,
        *steps.starts[1:],
    )  # of the first and the last step, only the part within the window counts
    values = value_groups(groups, question.classes)
    table = await spread(reader, Spread(groups, measures, where, starts, window.end + 1), values)
    if known:
        table, keys = await run_cancellable(lambda: _without_absent(table, keys))
    return table, keys, passed


def groups_of(question: UsageQuestion) -> tuple[str, ...]:
    """Return the columns that identify a row of the answer."""
    asked = check_groups(question.group_by, values=not question.every_row)
    if question.exact_groups:
        return asked
    always = ("username", "project")
    kept = ("cluster_id",) if question.mode is Mode.GLOBAL else ()  # as in table usage
    return tuple(dict.fromkeys((*always, *asked, *kept)))


def _timely(question: UsageQuestion) -> Within | RanWithin:
    """Return the condition for rows that count in the window."""
    window = question.window
    if question.source is Source.PRORATED:
        return RanWithin(window.start, window.end)
    return Within(Instant.UPDATED, window.start, window.end)


async def _conditions(
    access: Access, selection: Selection, groups: tuple[str, ...], timely: Within | RanWithin | None
) -> list[Condition]:
    """Return the conditions besides those of the selection."""
    rights = await access.usage(selection.users, selection.projects, groups)
    return [rights, *access.named(selection.users), *(() if timely is None else (timely,))]


def _table_of(question: UsageQuestion) -> Table:
    if question.mode is Mode.GLOBAL:
        return Table.USAGE
    return Table.DAILY_USAGE if question.source is Source.DAILY else Table.UNITS


def _own_only(access: Access, groups: tuple[str, ...]) -> tuple[str, ...]:
    unshared = access.unshared(groups)
    if not unshared:
        return ()
    names = ", ".join(name[:50] for name in unshared[:20])
    return (f"Only your own units count, since users do not see each other's {names} (setting sharedTags).",)


def _columns(reader: Reader) -> dict[str, Column]:
    return {column.name: column for column in (*usage_columns(reader), *DERIVED)}


def _how_days_add_up(measure: Measure) -> str:
    return "min" if isinstance(measure, Min) else "max" if isinstance(measure, Max) else "sum"


def _default_columns(question: UsageQuestion, columns: dict[str, Column]) -> tuple[Column, ...]:
    hidden = set(GROUPS) - set(question.group_by) if question.exact_groups else set()
    hidden |= {column.name for column in WAITS}  # only if a question names them
    return tuple(column for name, column in columns.items() if name not in hidden)


def _metrics_of(mentioned: set[str], columns: dict[str, Column]) -> tuple[str, ...]:
    needed = with_needs(mentioned)
    return tuple(name for name, column in columns.items() if name in needed and column.kind is Kind.METRIC)


def _readable(reader: Reader, table: Table, metrics: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in metrics if reader.has(table, name))


async def _as_kept(reader: Reader, where: Condition, metrics: tuple[str, ...]) -> pa.Table:
    plain = tuple(column.name for column in USAGE_COLUMNS if not column.has_keys)
    keyed = tuple(AllKeys(name) for name in _readable(reader, Table.USAGE, metrics))
    return await reader.table(Scan(Table.USAGE, (*plain, *keyed), where, _ORDER))


async def _summed_once(
    reader: Reader,
    question: UsageQuestion,
    values: tuple[ValueGroup, ...],
    where: Condition,
    metrics: tuple[str, ...],
) -> pa.Table:
    """Sum the rows; of a unit that has a row from before its start, leave that row out."""
    if question.every_row or question.mode is Mode.GLOBAL or question.source is Source.DAILY:
        return await _summed(reader, question, values, where, metrics)
    # Such a row could be the first of its group, which then shows its cluster. It can also have other tags.
    if not question.exact_groups or values:
        return await _summed(reader, question, values, await without_superseded(reader, where), metrics)
    table = await _summed(reader, question, values, where, metrics)
    return await counted_without_superseded(reader, where, groups_of(question), table)


async def _summed(
    reader: Reader,
    question: UsageQuestion,
    values: tuple[ValueGroup, ...],
    where: Condition,
    metrics: tuple[str, ...],
) -> pa.Table:
    source = _table_of(question)
    known, keys = await _keys(reader, source, metrics, where)
    by = groups_of(question)
    count: Measure = Count("num_units") if source is Table.UNITS else Sum("num_units", "num_units")
    # A column that is not grouped by shows the value of the group's first cluster.
    rest = [FirstBy(name, name, "cluster_id") for name in GROUPS if name not in by] if not question.exact_groups else []
    order = tuple(Order(name) for name in by) if question.exact_groups else _ORDER
    timely = _timely(question) if question.mode is Mode.CURRENT else None
    prorated = timely if isinstance(timely, RanWithin) else None
    plan = Aggregate(source, by, (Count(_ROWS), count, *rest, *_measures(keys)), where, order, prorated=prorated)
    table = await aggregate(reader, plan, values)
    return await run_cancellable(lambda: _with_means(table, keys, known=known))


def _with_means(table: pa.Table, keys: Keys, *, known: bool) -> pa.Table:
    """Divide weighted sums into means. ``known``: the keys are not from the rows, so absent ones are removed."""
    if table.num_rows == 1 and table.column(_ROWS)[0].as_py() == 0:
        table = table.slice(0, 0)  # a sum over no rows is not an answer row
    if known:
        table, keys = _without_absent(table, keys)
    return _finished(table, keys)


async def _keys(reader: Reader, table: Table, metrics: tuple[str, ...], where: Condition) -> tuple[bool, Keys]:
    """Return the metrics' keys: those of the selected rows or, if the store knows them (True), those of all rows."""
    readable = _readable(reader, table, metrics)
    known = reader.known_keys(table, readable) if isinstance(reader, KnowsKeys) else None
    if known is not None:
        return True, known
    return False, await reader.keys(KeyScan(table, readable, where))


def _measures(keys: Keys) -> list[Measure]:
    measures: list[Measure] = []
    for metric, names in keys.items():
        for name in names:
            value = Key(metric, name)
            match column_named(metric):
                case Column(aggregation=Aggregation.MEAN, weight=times):
                    weight = Key(TIMES, times)
                    measures.append(WeightedSum(f"{WEIGHTED_SUM}{value}", value, weight))
                    measures.append(WeightOf(f"{_WEIGHT}{value}", value, weight))
                case Column(aggregation=Aggregation.MIN):
                    measures.append(Min(str(value), value))
                case Column(aggregation=Aggregation.MAX):
                    measures.append(Max(str(value), value))
                case _:
                    measures.append(Sum(str(value), value))
    return measures


def _is_mean(metric: str) -> bool:
    return column_named(metric).aggregation is Aggregation.MEAN


def _without_absent(table: pa.Table, keys: Keys) -> tuple[pa.Table, Keys]:
    """Return the sums without keys that have no value in any row, and the remaining keys."""
    present = _present(keys, table)
    absent = {measure.name for measure in _measures(keys)} - {measure.name for measure in _measures(present)}
    return table.drop_columns(list(absent)), present


def _present(keys: Keys, table: pa.Table) -> Keys:
    """Return the keys that have a value in some row."""

    def is_present(metric: str, name: str) -> bool:
        column = table.column(f"{WEIGHTED_SUM if _is_mean(metric) else ''}{metric}.{name}")
        return bool(column.null_count < len(column))

    return {metric: tuple(name for name in names if is_present(metric, name)) for metric, names in keys.items()}


def _finished(table: pa.Table, keys: Keys) -> pa.Table:
    """Divide weighted sums into means: 0 if all weights are 0, null if no unit has the value."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for metric, names in keys.items():
        for name in names if _is_mean(metric) else ():
            column = f"{metric}.{name}"
            weighted, weights = columns[WEIGHTED_SUM + column], columns.pop(_WEIGHT + column)
            weightless = pc.equal(weights, _ZERO)
            columns[column] = pc.if_else(weightless, _ZERO, pc.divide(weighted, pc.if_else(weightless, _ONE, weights)))
    return pa.table(columns)
