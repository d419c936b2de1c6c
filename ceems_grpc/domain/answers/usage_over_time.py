"""Answers about usage over time: usage per step, from daily_usage or from units."""

from dataclasses import replace
from datetime import UTC

import pyarrow as pa

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.answers.derived import add_derived, derived_among
from ceems_grpc.domain.answers.filtering import rows_of
from ceems_grpc.domain.answers.grouping import notices, spread
from ceems_grpc.domain.answers.superseded import without_superseded
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
from ceems_grpc.domain.columns import metric_names, usage_columns
from ceems_grpc.domain.questions.fields import choose_fields
from ceems_grpc.domain.questions.filters import Filterable
from ceems_grpc.domain.questions.groups import check_groups, check_source, value_groups
from ceems_grpc.domain.questions.model import Mode, Source, UsageOverTimeQuestion
from ceems_grpc.domain.questions.steps import TimeSteps, steps_of
from ceems_grpc.domain.questions.window import DAY
from ceems_grpc.schema import GROUPS
from ceems_grpc.store.plan import (
    Aggregate,
    Count,
    Instant,
    KeyScan,
    Max,
    Measure,
    Min,
    RanWithin,
    Spread,
    Sum,
    Table,
    Within,
)
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable

_NO_DAYS = "This database has no table daily_usage; it was made by an older version of CEEMS."


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
    columns = columns_of(access.reader)
    fields = choose_fields(asked, [column for name, column in columns.items() if name not in GROUPS])
    zone = access.reader.zone if question.zone is None else question.zone
    daily = _days_serve(access.reader, question)
    steps = await run_cancellable(lambda: steps_of(question.window, question.step, UTC if daily else zone))
    read = _from_days if daily else _from_units
    mentioned = fields.mentioned(())
    table, keys, passed = await read(access, question, groups, metrics_of(mentioned, columns), steps)

    def finish() -> Answer:
        derived = add_derived(with_means(table, keys), derived_among(mentioned))
        shown = fields.select(derived)
        for name in ("step", *reversed(groups)):
            shown = shown.add_column(0, name, derived.column(name))
        noticed = (*notices(table, values), *own_only(access, groups), *passed)
        return Answer(shown, columns, (*fields.warnings(), *noticed))

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
    conditions = await conditions_of(access, question.selection, groups, days)
    where, passed = await rows_of(reader, Table.DAILY_USAGE, question.selection, Filterable(PLAIN), conditions)
    keys = await reader.keys(KeyScan(Table.DAILY_USAGE, metrics_in(reader, Table.DAILY_USAGE, metrics), where))
    measures = (Sum("num_units", "num_units"), *measures_of(keys))
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
    conditions = await conditions_of(access, question.selection, groups, RanWithin(window.start, window.end))
    where, passed = await rows_of(reader, Table.UNITS, question.selection, Filterable(PLAIN, objects), conditions)
    where = await without_superseded(reader, where)
    known, keys = await keys_of(reader, Table.UNITS, metrics, where)
    measures = (Count("num_units"), *measures_of(keys))
    starts = (
        window.start,
        *steps.starts[1:],
    )  # of the first and the last step, only the part within the window counts
    values = value_groups(groups, question.classes)
    table = await spread(reader, Spread(groups, measures, where, starts, window.end + 1), values)
    if known:
        table, keys = await run_cancellable(lambda: without_absent(table, keys))
    return table, keys, passed


def _how_days_add_up(measure: Measure) -> str:
    return "min" if isinstance(measure, Min) else "max" if isinstance(measure, Max) else "sum"
