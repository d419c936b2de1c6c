"""Answers about stats: the numbers of units, projects and users per cluster."""

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.answers.answer import Answer, truncate
from ceems_grpc.domain.answers.filtering import rows_of
from ceems_grpc.domain.answers.superseded import counted_without_superseded
from ceems_grpc.domain.columns import STATS_COLUMNS
from ceems_grpc.domain.questions.fields import choose_fields
from ceems_grpc.domain.questions.filters import Filterable
from ceems_grpc.domain.questions.model import Mode, StatsQuestion
from ceems_grpc.domain.questions.ordering import check_order, sort_table
from ceems_grpc.store.plan import (
    ALWAYS,
    Aggregate,
    AnyOf,
    Compare,
    Condition,
    Count,
    CountIf,
    In,
    Instant,
    Running,
    Table,
    Within,
)
from ceems_grpc.store.runtime.cancellation import run_cancellable

_COLUMNS = {column.name: column for column in STATS_COLUMNS}
_FILTERABLE = Filterable(frozenset({"cluster_id", "resource_manager", "project", "groupname", "username", "state"}))
_GROUPS = ("cluster_id", "resource_manager", "project", "username")
_COUNTS: tuple[Count | CountIf, ...] = (
    Count("num_units"),
    CountIf("num_inactive_units", Compare("ended_at_ts", ">", 0)),
    CountIf("num_active_units", Running()),
)
_OF_WAITING = ("num_units", "num_active_units")  # the counts that units without a start add to
_NAMES = pc.CountOptions(mode="only_valid")


async def stats(access: Access, question: StatsQuestion) -> Answer:
    """Answer with one row per cluster: over all units for administrators, over their own units for other users."""
    fields = choose_fields(question.fields, STATS_COLUMNS)
    check_order(question.order, frozenset(_COLUMNS))
    conditions: list[Condition] = [access.either(ALWAYS, In("username", (access.viewer.login,)))]
    if question.selection.users:
        conditions.append(In("username", question.selection.users))
    if question.mode is Mode.CURRENT:
        window = question.window
        conditions.append(AnyOf((Within(Instant.ENDED, window.start, window.end), Running())))
    where, told = await rows_of(access.reader, Table.UNITS, question.selection, _FILTERABLE, conditions)
    groups = await access.reader.aggregate(Aggregate(Table.UNITS, _GROUPS, _COUNTS, where))
    if not question.every_row:
        groups = await counted_without_superseded(access.reader, where, _GROUPS, groups, _OF_WAITING)

    def finish() -> Answer:
        table = sort_table(_by_cluster(groups), question.order)
        table, warnings = truncate(table, question.limit, "clusters")
        return Answer(fields.select(table), _COLUMNS, (*warnings, *fields.warnings(), *told))

    return await run_cancellable(finish)


def _by_cluster(groups: pa.Table) -> pa.Table:
    """Return one row per cluster, in order, nulls last: the sums of its groups' counts, and their distinct names.

    The database finds the groups once. Counting distinct names there would take much longer than it takes here.
    """
    groups = groups.set_column(1, "resource_manager", pc.fill_null(groups.column("resource_manager"), ""))
    counts = [count.name for count in _COUNTS]
    different = [("project", "count_distinct", _NAMES), ("username", "count_distinct", _NAMES)]
    clusters = groups.group_by("cluster_id", use_threads=False).aggregate(
        [("resource_manager", "min"), *((count, "sum") for count in counts), *different]
    )
    clusters = clusters.rename_columns(["cluster_id", "resource_manager", *counts, "num_projects", "num_users"])
    named = pc.if_else(pc.is_null(clusters.column(0)), pa.scalar(None, pa.string()), clusters.column(1))
    return clusters.set_column(1, "resource_manager", named).sort_by("cluster_id")
