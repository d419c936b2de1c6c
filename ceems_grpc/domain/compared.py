"""Questions that are asked twice: about a time range, and about an earlier one. See `Comparison`."""

from dataclasses import replace
from datetime import UTC

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.answers.answer import Answer, truncate
from ceems_grpc.domain.answers.comparison import CHANGE, PREVIOUS, side_by_side
from ceems_grpc.domain.answers.grouping import ranked
from ceems_grpc.domain.answers.usage import groups_of
from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.groups import value_groups
from ceems_grpc.domain.questions.limits import check_limits
from ceems_grpc.domain.questions.model import (
    Comparison,
    Mode,
    Source,
    StatsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.ordering import sort_table
from ceems_grpc.domain.questions.period import earlier, matching_steps
from ceems_grpc.domain.questions.steps import TimeSteps
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.runtime.cancellation import run_cancellable

_STATS_KEYS = ("cluster_id",)


async def compared(ceems: Ceems, viewer: Viewer | None, comparison: Comparison) -> Answer:
    """Return usage or stats with the columns X.previous and X.change_percent.

    Rows that exist only in the earlier range come last, unless the question is ordered by one of these columns.
    """
    asked = comparison.question
    if isinstance(asked, UsageOverTimeQuestion):
        raise TypeError("usage over time is compared by compared_over_time")
    check_limits(asked)
    if asked.mode is Mode.GLOBAL:
        raise bad_data('compare: usage and stats of all time have no earlier time range; use the mode "current"')
    zone = comparison.zone or await ceems.site_zone()
    window = earlier(asked.window, comparison.period, zone).window
    keys = groups_of(asked) if isinstance(asked, UsageQuestion) else _STATS_KEYS
    added = [name for name in keys if asked.fields and name not in asked.fields]
    whole = replace(asked, fields=(*added, *asked.fields), limit=None)
    ceems.check_window(asked.window)
    if isinstance(whole, UsageQuestion):
        now = await ceems.usage(viewer, whole, whole=True)
        then = await ceems.usage(viewer, replace(whole, window=window), whole=True)
    else:
        now = await ceems.stats(viewer, whole, whole=True)
        then = await ceems.stats(viewer, replace(whole, window=window), whole=True)

    def finish() -> Answer:
        both = side_by_side(now, then, keys, change=True)
        table, warnings = truncate(_sorted(both.table, asked), ceems.limited(asked).limit, "rows")
        return replace(both, table=table.drop_columns(added), expires=None).with_warnings(warnings)

    return await run_cancellable(finish)


async def compared_over_time(ceems: Ceems, viewer: Viewer | None, comparison: Comparison) -> tuple[Answer, TimeSteps]:
    """Return usage over time with the columns X.previous: at each step, the value of the matching earlier step."""
    asked = comparison.question
    if not isinstance(asked, UsageOverTimeQuestion):
        raise TypeError("usage and stats are compared by compared")
    check_limits(asked)
    zone = asked.zone or (UTC if _is_daily(asked) else await ceems.site_zone())
    before = earlier(asked.window, comparison.period, zone)
    now, steps = await ceems.usage_over_time(viewer, asked)
    then, steps_then = await ceems.usage_over_time(viewer, replace(asked, window=before.window), whole=True)

    def finish() -> Answer:
        places = matching_steps(steps, steps_then, asked.step, zone, by_calendar=before.by_calendar)
        moved = replace(then, table=_moved(then.table, places))
        return side_by_side(now, moved, (*dict.fromkeys(asked.group_by), "step"), change=False)

    return await run_cancellable(finish), steps


def _is_daily(question: UsageOverTimeQuestion) -> bool:
    return question.source is Source.DAILY and not question.step.is_within_day


def _moved(table: pa.Table, places: list[int | None]) -> pa.Table:
    """Return the rows at the steps that they are compared with. Rows without such a step are dropped."""
    steps = pa.array(places, pa.int64()).take(table.column("step").combine_chunks())
    moved = table.set_column(table.column_names.index("step"), "step", steps)
    return moved.filter(pc.is_valid(steps))


def _sorted(table: pa.Table, asked: UsageQuestion | StatsQuestion) -> pa.Table:
    if not any(item.field.endswith((PREVIOUS, CHANGE)) for item in asked.order):
        return table  # the current answer is sorted already
    groups = value_groups(asked.group_by, asked.classes) if isinstance(asked, UsageQuestion) else ()
    return sort_table(table, asked.order, ranked(table, groups))
