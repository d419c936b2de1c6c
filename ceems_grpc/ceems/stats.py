"""Answers about stats: how many units, projects and users there are per cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

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
    CountIf,
    In,
    Instant,
    Running,
    Table,
    Within,
)

_COLUMNS = {column.name: column for column in STATS_COLUMNS}
_PLAIN = frozenset({"cluster_id", "resource_manager", "project", "groupname", "username", "state"})
_GROUPS = ("cluster_id", "resource_manager", "project", "username")
_COUNTS: tuple[Count | CountIf, ...] = (
    Count("num_units"),
    CountIf("num_inactive_units", Compare("ended_at_ts", ">", 0)),
    CountIf("num_active_units", Running()),
)


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
    plan = Aggregate(Table.UNITS, _GROUPS, _COUNTS, AllOf(tuple(conditions)))
    table = sort_table(_by_cluster(await access.reader.aggregate(plan)), question.order)
    table, warnings = cut(table, question.limit, "clusters")
    return Answer(fields.select(table), _COLUMNS, warnings + fields.warnings())


def _by_cluster(groups: pa.Table) -> pa.Table:
    """Return one row per cluster, in order, nulls last: the sums of its groups' counts, and how many names they have.

    Databases find the groups once; counting different names in them takes each much longer than it does here.
    """
    found: dict[str | None, _Cluster] = {}
    for cluster, manager, project, user, *counts in zip(*groups.to_pydict().values(), strict=True):
        found.setdefault(cluster, _Cluster()).add(manager, project, user, counts)
    names = sorted(found, key=lambda name: (name is None, name or ""))
    clusters = [found[name] for name in names]
    columns = {
        "cluster_id": pa.array(names, pa.string()),
        "resource_manager": pa.array(
            [None if name is None else min(found[name].managers) for name in names], pa.string()
        ),
    }
    for index, count in enumerate(_COUNTS):
        columns[count.name] = pa.array([each.counts[index] for each in clusters], pa.int64())
    columns["num_projects"] = pa.array([len(each.projects - {None}) for each in clusters], pa.int64())
    columns["num_users"] = pa.array([len(each.users - {None}) for each in clusters], pa.int64())
    return pa.table(columns)


@dataclass(slots=True)
class _Cluster:
    managers: set[str] = field(default_factory=set)
    projects: set[str | None] = field(default_factory=set)
    users: set[str | None] = field(default_factory=set)
    counts: list[int] = field(default_factory=lambda: [0] * len(_COUNTS))

    def add(self, manager: str | None, project: str | None, user: str | None, counts: Sequence[int]) -> None:
        self.managers.add(manager or "")
        self.projects.add(project)
        self.users.add(user)
        self.counts = [before + more for before, more in zip(self.counts, counts, strict=True)]
