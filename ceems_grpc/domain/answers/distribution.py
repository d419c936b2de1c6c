"""Answers about distributions: how many units have a value in which bucket, and quantiles.

The units are those of usage: with the source units those that were last updated within the time range, with prorated
those that ran within it. Each unit counts once, with its whole value.
"""

from bisect import bisect_right
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace as replace_part

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.answers.filtering import rows_of
from ceems_grpc.domain.answers.grouping import TEXTS, described, histogram, notices
from ceems_grpc.domain.answers.measured import Texts, measured_of
from ceems_grpc.domain.answers.superseded import without_superseded
from ceems_grpc.domain.answers.usage import counted_within
from ceems_grpc.domain.answers.usage_scope import PLAIN, conditions_of, own_only
from ceems_grpc.domain.answers.waiting import started_within
from ceems_grpc.domain.columns import metric_names, usage_columns
from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.buckets import LOGARITHMIC, LOGARITHMIC_BOTH, Buckets, check_bounds
from ceems_grpc.domain.questions.filters import Filterable
from ceems_grpc.domain.questions.groups import ValueGroup, check_groups, value_groups
from ceems_grpc.domain.questions.model import DistributionQuestion, Source
from ceems_grpc.domain.questions.steps import TimeSteps, steps_of
from ceems_grpc.schema import COLUMNS, Column, Kind, Type, Unit
from ceems_grpc.store.columnar.histogram_rows import COUNT, empty_histogram, merged_histogram
from ceems_grpc.store.plan import Histogram, Moment, Table, Wait
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable, until_cancelled

QUANTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
"""The columns of quantiles, in percent."""
LOW, HIGH = "bucket_min", "bucket_max"
"""The columns with the ends of a bucket; null if it has none. Both are 0 for values that count as 0."""


def normalize(question: DistributionQuestion) -> DistributionQuestion:
    """Return the question with the window whose units count, as in usage."""
    return replace(question, window=question.window.rounded()) if question.source is Source.UNITS else question


async def distribution(access: Access, question: DistributionQuestion, now: int) -> tuple[Answer, TimeSteps, Buckets]:
    """Answer a question in the form of `normalize`.

    The rows have the groups, ``step`` (index into the steps; 0 where the question has no step), and either ``bucket``,
    its ends and ``num_units``, or `QUANTILES`.

    ``now``: seconds since the epoch, until which units without a start wait.
    """
    reader = access.reader
    groups = check_groups(question.group_by)
    values = value_groups(groups, question.classes)
    buckets = _buckets(question)
    measured = measured_of(reader, question.of, now)
    steps = await run_cancellable(lambda: _steps(question, reader))
    tags = (question.of,) if isinstance(measured.value, Texts) else ()
    rights = (*groups, *tags)
    within = counted_within(question.window, question.source)
    conditions = await conditions_of(access, question.selection, rights, within)
    if question.source is Source.PRORATED and isinstance(measured.value, Wait):
        conditions.append(started_within(question.window))
    among = Filterable(PLAIN, metric_names(usage_columns(reader)))
    where, passed = await rows_of(reader, Table.UNITS, question.selection, among, conditions)
    where = await without_superseded(reader, where)
    of_engine = None if isinstance(measured.value, Texts) else measured.value
    starts = steps.starts if question.step is not None else ()
    plan = Histogram(groups, of_engine, buckets.bounds, where, starts, _moment(question, of_engine))
    buckets, table = await _counted(reader, plan, measured.value, values, buckets)

    def finish() -> Answer:
        shown = _quantiles(table, groups, buckets) if question.quantiles else _with_edges(table, groups, buckets)
        columns = described(values) | {
            name: COLUMNS[Table.UNITS][name] for name in groups if name in COLUMNS[Table.UNITS]
        }
        columns |= _columns(question, measured.column, measured.unit)
        told = (*notices(table, values), *_none(table, question.of), *own_only(access, rights), *passed)
        return Answer(shown, columns, told)

    return await run_cancellable(finish), steps, buckets


def _buckets(question: DistributionQuestion) -> Buckets:
    if question.source is Source.DAILY:
        raise bad_data(
            'only units have distributions, and not the source "daily": use the source "units" or "prorated"'
        )
    if not question.bounds:
        return LOGARITHMIC
    if question.quantiles:
        raise bad_data("quantiles are calculated from logarithmic buckets: leave out bounds, or choose another format")
    check_bounds(question.bounds)
    return Buckets(question.bounds)


def _steps(question: DistributionQuestion, reader: Reader) -> TimeSteps:
    window = question.window
    if question.step is None:
        return TimeSteps((window.start,), window.end + 1)
    return steps_of(window, question.step, question.zone or reader.zone)


def _moment(question: DistributionQuestion, value: object) -> Moment:
    if question.source is Source.UNITS:
        return Moment.UPDATED
    return Moment.STARTED if isinstance(value, Wait) else Moment.RAN


async def _counted(
    reader: Reader, plan: Histogram, value: object, groups: tuple[ValueGroup, ...], buckets: Buckets
) -> tuple[Buckets, pa.Table]:
    """Return the buckets and the counts per group, step and bucket, sorted by these."""
    if not all(reader.has(Table.UNITS, name) for name in plan.columns):
        return buckets, empty_histogram(plan)
    if isinstance(value, Texts):
        of_texts = replace_part(plan, bounds=())
        rows = await histogram(reader, of_texts, groups, value.column)
        return await run_cancellable(lambda: _of_texts(plan, rows, value, buckets))
    rows = await histogram(reader, plan, groups)
    if buckets is LOGARITHMIC and pc.any(pc.equal(rows.column("bucket"), 0)).as_py():
        buckets = LOGARITHMIC_BOTH  # some values are below 0
        rows = await histogram(reader, replace_part(plan, bounds=buckets.bounds), groups)
    return buckets, await run_cancellable(lambda: merged_histogram(plan, [rows]))


def _of_texts(plan: Histogram, rows: pa.Table, value: Texts, buckets: Buckets) -> tuple[Buckets, pa.Table]:
    """Sort counts by text into buckets, by the number that each text holds."""
    coded = pa.chunked_array(rows.column(TEXTS)).combine_chunks().dictionary_encode(null_encoding="encode")
    numbers = value.numbers(coded.dictionary.to_pylist())
    if buckets is LOGARITHMIC and any(number is not None and number < 0 for number in numbers):
        buckets = LOGARITHMIC_BOTH
    places = [None if number is None else bisect_right(buckets.bounds, number) for number in until_cancelled(numbers)]
    found = pa.array(places, pa.int64()).take(coded.indices)
    rows = rows.drop_columns([TEXTS]).set_column(rows.column_names.index("bucket"), "bucket", found)
    return buckets, merged_histogram(plan, [rows.filter(pc.is_valid(found))])


def _with_edges(table: pa.Table, groups: tuple[str, ...], buckets: Buckets) -> pa.Table:
    edges = [buckets.edges(bucket) for bucket in range(len(buckets.bounds) + 1)]
    place = table.column("bucket")
    low, high = (pa.array(ends, pa.float64()).take(place) for ends in zip(*edges, strict=True))
    counts = table.select([*groups, "step", "bucket"]).append_column(LOW, low).append_column(HIGH, high)
    return counts.append_column(COUNT.name, table.column(COUNT.name))


def _quantiles(table: pa.Table, groups: tuple[str, ...], buckets: Buckets) -> pa.Table:
    """Return the quantiles of each group and step.

    The quantile p of n values is the one with the rank floor(p * (n - 1) / 100), counted from 0 in ascending order.
    """
    keys = [*groups, "step"]
    counts = table.column(COUNT.name)
    whole = table.group_by(keys, use_threads=False).aggregate([(COUNT.name, "sum"), (COUNT.name, "count")])
    sums = pc.cumulative_sum(counts).to_pylist()
    found: dict[str, list[float]] = {name: [] for name in QUANTILES}
    places = table.column("bucket").to_pylist()
    before, row = 0, 0
    sizes = [whole.column(f"{COUNT.name}_{how}").to_pylist() for how in ("sum", "count")]
    pairs = list(zip(*sizes, strict=True))
    for units, rows in until_cancelled(pairs):
        for name, percent in QUANTILES.items():
            at = bisect_right(sums, before + percent * (units - 1) // 100, row, row + rows)
            found[name].append(buckets.middle(places[at]))
        before, row = before + units, row + rows
    answer = whole.select(keys)
    for name, numbers in found.items():
        answer = answer.append_column(name, pa.array(numbers, pa.float64()))
    return answer


def _columns(question: DistributionQuestion, column: Column, unit: Unit) -> dict[str, Column]:
    def named(name: str, description: str) -> Column:
        return Column(name, Kind.DERIVED, f"{description} of {question.of}: {column.description}", unit, Type.INTEGER)

    if question.quantiles:
        return {name: named(name, f"{percent} % quantile") for name, percent in QUANTILES.items()}
    counts = Column(COUNT.name, Kind.COUNT, "Number of units", Unit.COUNT, Type.INTEGER)
    return {LOW: named(LOW, "Least value of the bucket"), HIGH: named(HIGH, "End of the bucket"), COUNT.name: counts}


def _none(table: pa.Table, of: str) -> tuple[str, ...]:
    return () if table.num_rows else (f"No unit here has a value of '{of[:50]}'.",)
