"""Answers about usage: the consumption of users and projects, summed from units or days, or read from table usage.

Totals are sums per key. Averages are weighted means over the units that have the value, with the weights that CEEMS
itself uses. If no unit of a group has a value, the group has no value either (not 0). Prorated usage, and usage over
time from units, scale each unit's totals and weights by the fraction of its run that lies within the time.
"""

from dataclasses import replace

import pyarrow as pa

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.answers.answer import Answer, truncate
from ceems_grpc.domain.answers.derived import add_derived, derived_among
from ceems_grpc.domain.answers.filtering import rows_of
from ceems_grpc.domain.answers.grouping import aggregate, described, notices, ranked
from ceems_grpc.domain.answers.superseded import counted_without_superseded, without_superseded
from ceems_grpc.domain.answers.usage_scope import PLAIN, columns_of, conditions_of, own_only
from ceems_grpc.domain.answers.usage_sums import (
    Keys,
    keys_of,
    measures_of,
    metrics_in,
    metrics_of,
    with_means,
    without_absent,
)
from ceems_grpc.domain.answers.waiting import add_waits, mentioned_waits
from ceems_grpc.domain.columns import FACTORS, USAGE_COLUMNS, WAITS, metric_names
from ceems_grpc.domain.questions.fields import choose_fields
from ceems_grpc.domain.questions.filters import Filterable
from ceems_grpc.domain.questions.groups import ValueGroup, check_groups, check_source, value_groups
from ceems_grpc.domain.questions.model import Mode, Source, UsageQuestion
from ceems_grpc.domain.questions.ordering import check_order, sort_table
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.schema import GROUPS, Column
from ceems_grpc.store.plan import (
    Aggregate,
    AllKeys,
    Condition,
    Count,
    FirstBy,
    Instant,
    Measure,
    Order,
    RanWithin,
    Scan,
    Sum,
    Table,
    Within,
)
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable

_ORDER = (Order("cluster_id"), Order("username"), Order("project"))
_ROWS = "#rows"


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
    columns = described(values) | columns_of(access.reader) | {column.name: column for column in WAITS}
    metrics = metric_names(columns.values())
    fields = choose_fields(question.fields, columns.values(), _default_columns(question, columns))
    check_order(question.order, frozenset(columns))
    current = question.mode is Mode.CURRENT
    timely = counted_within(question.window, question.source) if current else None
    conditions = await conditions_of(access, question.selection, by, timely)
    among = Filterable(PLAIN, metrics if current else frozenset())
    where, passed = await rows_of(access.reader, _table_of(question), question.selection, among, conditions)
    mentioned = fields.mentioned(question.order)
    needed = metrics_of(mentioned, columns)
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
        noticed = (*notices(table, values), *own_only(access, by), *passed)
        return Answer(fields.select(cut), columns, (*warnings, *fields.warnings(), *noticed))

    return await run_cancellable(finish)


def groups_of(question: UsageQuestion) -> tuple[str, ...]:
    """Return the columns that identify a row of the answer."""
    asked = check_groups(question.group_by, values=not question.every_row)
    if question.exact_groups:
        return asked
    always = ("username", "project")
    kept = ("cluster_id",) if question.mode is Mode.GLOBAL else ()  # as in table usage
    return tuple(dict.fromkeys((*always, *asked, *kept)))


def counted_within(window: Window, source: Source) -> Within | RanWithin:
    """Return the condition for rows that count in the window."""
    if source is Source.PRORATED:
        return RanWithin(window.start, window.end)
    return Within(Instant.UPDATED, window.start, window.end)


def _table_of(question: UsageQuestion) -> Table:
    if question.mode is Mode.GLOBAL:
        return Table.USAGE
    return Table.DAILY_USAGE if question.source is Source.DAILY else Table.UNITS


def _default_columns(question: UsageQuestion, columns: dict[str, Column]) -> tuple[Column, ...]:
    hidden = set(GROUPS) - set(question.group_by) if question.exact_groups else set()
    hidden |= {column.name for column in (*WAITS, *FACTORS)}  # only if a question names them
    return tuple(column for name, column in columns.items() if name not in hidden)


async def _as_kept(reader: Reader, where: Condition, metrics: tuple[str, ...]) -> pa.Table:
    plain = tuple(column.name for column in USAGE_COLUMNS if not column.has_keys)
    keyed = tuple(AllKeys(name) for name in metrics_in(reader, Table.USAGE, metrics))
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
    known, keys = await keys_of(reader, source, metrics, where)
    by = groups_of(question)
    count: Measure = Count("num_units") if source is Table.UNITS else Sum("num_units", "num_units")
    # A column that is not grouped by shows the value of the group's first cluster.
    rest = [FirstBy(name, name, "cluster_id") for name in GROUPS if name not in by] if not question.exact_groups else []
    order = tuple(Order(name) for name in by) if question.exact_groups else _ORDER
    timely = counted_within(question.window, question.source) if question.mode is Mode.CURRENT else None
    prorated = timely if isinstance(timely, RanWithin) else None
    plan = Aggregate(source, by, (Count(_ROWS), count, *rest, *measures_of(keys)), where, order, prorated=prorated)
    table = await aggregate(reader, plan, values)
    return await run_cancellable(lambda: _means_of_groups(table, keys, known=known))


def _means_of_groups(table: pa.Table, keys: Keys, *, known: bool) -> pa.Table:
    """Divide weighted sums into means. ``known``: the keys are not from the rows, so absent ones are removed."""
    if table.num_rows == 1 and table.column(_ROWS)[0].as_py() == 0:
        table = table.slice(0, 0)  # a sum over no rows is not an answer row
    if known:
        table, keys = without_absent(table, keys)
    return with_means(table, keys)
