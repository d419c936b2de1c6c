"""How long units wait: from their creation to their start."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.answers.answer import groups_of_rows
from ceems_grpc.domain.answers.grouping import aggregate
from ceems_grpc.domain.columns import WAITING, WAITS
from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.groups import value_groups
from ceems_grpc.domain.questions.model import Mode, Source, UsageQuestion
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.schema import Table
from ceems_grpc.store.plan import WAIT_COLUMNS, Aggregate, AllOf, Compare, Condition, Statistic, Waits
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable, until_cancelled

WAIT_SECONDS = WAITING.name
_MEAN, _LONGEST = (column.name for column in WAITS)
_MEASURED = {"count": Statistic.COUNT, "sum": Statistic.SUM, "longest": Statistic.MAX}
_SECOND = 1000.0  # milliseconds
_ZERO = pa.scalar(0, pa.int64())


def wait_seconds(units: pa.Table, now: int) -> pa.ChunkedArray:
    """Return the seconds that each unit waited, as float64.

    A unit without a start has waited until ``now`` (seconds since the epoch) if it has not ended. The wait is null if
    the time of creation is unknown, if the unit ended without a start, or if it was created after that moment.

    ``units``: a table with the columns of `WAIT_COLUMNS` that the database has.
    """
    created, started, ended = (_moments(units, name) for name in WAIT_COLUMNS)
    waits = pc.if_else(pc.is_valid(ended), pa.scalar(None, pa.int64()), pa.scalar(now * 1000, pa.int64()))
    waited = pc.subtract(pc.coalesce(started, waits), created)
    known = pc.if_else(pc.less(waited, _ZERO), pa.scalar(None, pa.int64()), waited)
    return pc.divide(known.cast(pa.float64()), _SECOND)


def mentioned_waits(mentioned: set[str], question: UsageQuestion) -> tuple[str, ...]:
    """Return the names of `WAITS` among these. Raises an error if the usage is not summed from units, so has none."""
    names = tuple(column.name for column in WAITS if column.name in mentioned)
    if names and (question.mode is Mode.GLOBAL or question.source is Source.DAILY):
        raise bad_data(
            f'{names[0]} is known only for units: use the mode "current" with the source "units" or "prorated"'
        )
    return names


async def add_waits(
    reader: Reader,
    question: UsageQuestion,
    by: Sequence[str],
    where: Condition,
    table: pa.Table,
    *,
    now: int,
) -> pa.Table:
    """Append the columns of `WAITS`, as float64, to a table of groups ``by``.

    Prorated usage counts only the waits of units that started within the window. ``where``: the condition for the
    units that the table sums, without superseded rows. ``now``: seconds since the epoch.
    """
    if not all(reader.has(Table.UNITS, name) for name in WAIT_COLUMNS):
        nothing = pa.nulls(table.num_rows, pa.float64())
        return table.append_column(_MEAN, nothing).append_column(_LONGEST, nothing)
    if question.source is Source.PRORATED:
        where = AllOf((where, started_within(question.window)))
    measures = tuple(Waits(f"#{name}", statistic, now) for name, statistic in _MEASURED.items())
    waits = await aggregate(
        reader, Aggregate(Table.UNITS, tuple(by), measures, where), value_groups(question.group_by, question.classes)
    )

    def joined() -> pa.Table:
        rows = dict(zip(groups_of_rows(waits, by), range(waits.num_rows), strict=True))
        places = pa.array([rows.get(group) for group in until_cancelled(groups_of_rows(table, by))], pa.int64())
        count, total, longest = (waits.column(f"#{name}").take(places) for name in _MEASURED)
        return table.append_column(_MEAN, pc.divide(total, count)).append_column(_LONGEST, longest)

    return await run_cancellable(joined)


def started_within(window: Window) -> Condition:
    """Return the condition for units that started within the window: those whose waits count in prorated usage."""
    started = ((">=", window.start * 1000), ("<", (window.end + 1) * 1000))
    return AllOf(tuple(Compare("started_at_ts", operator, float(moment)) for operator, moment in started))


def _moments(units: pa.Table, name: str) -> pa.ChunkedArray:
    """Return milliseconds since the epoch; null if a unit does not have the moment."""
    if name not in units.column_names:
        return pa.chunked_array([pa.nulls(units.num_rows, pa.int64())])
    values = units.column(name)
    return pc.if_else(pc.greater(values, _ZERO), values, pa.scalar(None, pa.int64()))
