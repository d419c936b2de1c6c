"""Answers about stats: how many units, projects and users there are per cluster."""

from ceems_grpc.ceems.access import Access
from ceems_grpc.ceems.answer import Answer, cut
from ceems_grpc.ceems.fields import choose_fields
from ceems_grpc.ceems.filters import chosen
from ceems_grpc.ceems.metrics import STATS_COLUMNS
from ceems_grpc.ceems.ordering import check_order, sort_table
from ceems_grpc.ceems.questions import Mode, StatsQuestion
from ceems_grpc.store.plan import (
    ALWAYS,
    Aggregate,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Count,
    CountDistinct,
    CountIf,
    FirstBy,
    In,
    Instant,
    Order,
    Running,
    Table,
    Within,
)

_COLUMNS = {column.name: column for column in STATS_COLUMNS}
_PLAIN = frozenset({"cluster_id", "resource_manager", "project", "groupname", "username", "state"})


async def stats(access: Access, question: StatsQuestion) -> Answer:
    """Answer with one row per cluster: over all units for administrators, over the own units for others."""
    fields = choose_fields(question.fields, STATS_COLUMNS)
    check_order(question.order, frozenset(_COLUMNS))
    conditions: list[Condition] = [chosen(question.choice, _PLAIN, frozenset())]
    conditions.append(access.either(ALWAYS, In("username", (access.viewer.login,))))
    if question.choice.users:
        conditions.append(In("username", question.choice.users))
    if question.mode is Mode.CURRENT:
        window = question.window
        conditions.append(AnyOf((Within(Instant.ENDED, window.start, window.end), Running())))
    plan = Aggregate(
        Table.UNITS,
        ("cluster_id",),
        (
            FirstBy("resource_manager", "resource_manager", "cluster_id"),
            Count("num_units"),
            CountIf("num_inactive_units", Compare("ended_at_ts", ">", 0)),
            CountIf("num_active_units", Running()),
            CountDistinct("num_projects", "project"),
            CountDistinct("num_users", "username"),
        ),
        AllOf(tuple(conditions)),
        (Order("cluster_id"),),
    )
    table = sort_table(await access.reader.aggregate(plan), question.order)
    table, warnings = cut(table, question.limit, "clusters")
    return Answer(fields.select(table), _COLUMNS, warnings + fields.warnings())
