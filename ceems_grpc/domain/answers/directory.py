"""Answers about users, projects, clusters and administrators, and the check of who owns units."""

from dataclasses import replace

import pyarrow as pa

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.answers.answer import Answer, truncate
from ceems_grpc.domain.answers.filtering import rows_of
from ceems_grpc.domain.columns import CLUSTER_COLUMNS, PROJECT_COLUMNS, USER_COLUMNS
from ceems_grpc.domain.errors import ErrorType, QuestionError, bad_data
from ceems_grpc.domain.questions.fields import choose_fields
from ceems_grpc.domain.questions.filters import Filterable
from ceems_grpc.domain.questions.model import Directory, DirectoryQuestion, VerifyQuestion
from ceems_grpc.domain.questions.ordering import check_order, sort_table
from ceems_grpc.schema import ADMINISTERED, Column
from ceems_grpc.store.missing import require_whole
from ceems_grpc.store.plan import (
    ALWAYS,
    AllOf,
    AnyOf,
    Condition,
    Distinct,
    Holds,
    In,
    Order,
    PairIn,
    Scan,
    Table,
)
from ceems_grpc.store.runtime.cancellation import run_cancellable

_TABLES = {
    Directory.USERS: (Table.USERS, USER_COLUMNS),
    Directory.PROJECTS: (Table.PROJECTS, PROJECT_COLUMNS),
    Directory.ADMINS: (Table.ADMIN_USERS, USER_COLUMNS),
    Directory.CLUSTERS: (Table.UNITS, CLUSTER_COLUMNS),
}
_CLUSTERED = Filterable(frozenset({"cluster_id", "resource_manager"}))
_NAMED = Filterable(_CLUSTERED.plain | {"name", "uid"}, renamed=frozenset({"name", "uid"}))
_BY_NAME = (Order("cluster_id"), Order("name"))


async def directory(access: Access, question: DirectoryQuestion) -> Answer:
    """Answer with a list. JSON columns (projects, users, tags) keep the database's JSON text.

    Without administrator rights, the answer holds the user's own rows, the user's projects, and the clusters of these
    projects.
    """
    source, columns = _TABLES[question.directory]
    by_name: dict[str, Column] = {column.name: column for column in columns}
    fields = choose_fields(question.fields, columns)
    check_order(question.order, frozenset(by_name))
    asked = _clusters(access, question) if source is Table.UNITS else _rows(access, question, source, columns)
    found, told = await asked

    def finish() -> Answer:
        table, warnings = truncate(sort_table(found, question.order), question.limit, str(question.directory))
        return Answer(fields.select(table), by_name, (*warnings, *fields.warnings(), *told))

    return await run_cancellable(finish)


async def verify(access: Access, question: VerifyQuestion) -> None:
    """Return if every unit belongs to a project of the user on one of the clusters; otherwise raise the API's error."""
    if not question.uuids:
        raise bad_data("uuids missing in the request")
    wanted = set(question.uuids)
    found: set[str] = set()
    if question.clusters:
        pairs = await access.memberships((access.viewer.login,))
        where = AllOf(
            (
                In("uuid", tuple(sorted(wanted))),
                In("cluster_id", question.clusters),
                PairIn(("cluster_id", "project"), pairs),
            )
        )
        table = await access.reader.distinct(Distinct(Table.UNITS, ("uuid",), where))
        found = set(table.column("uuid").to_pylist())
    if found != wanted:
        require_whole(access.reader)
        raise QuestionError(ErrorType.FORBIDDEN, "user do not have permissions on uuids")


async def _rows(
    access: Access, question: DirectoryQuestion, source: Table, columns: tuple[Column, ...]
) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the rows, and sentences for the reader."""
    selection = question.selection
    conditions: list[Condition] = []
    login = access.viewer.login
    if source is Table.PROJECTS:
        conditions += [In("name", selection.projects)] if selection.projects else []
        conditions += [Holds("users", selection.users)] if selection.users else []
        conditions.append(access.either(ALWAYS, Holds("users", (login,))))
    else:
        conditions += [In("name", selection.users)] if selection.users else []
        conditions += [Holds("projects", selection.projects)] if selection.projects else []
        own = In("name", (login,))
        if source is Table.ADMIN_USERS and access.as_admin and access.clusters is not None:
            conditions.append(
                AnyOf((Holds(ADMINISTERED, access.clusters), own))
            )  # its rows have a list of clusters, not one cluster
        else:
            conditions.append(access.either(ALWAYS, own))
    order = () if source is Table.ADMIN_USERS else _BY_NAME
    names = tuple(column.name for column in columns)
    # In these tables the project or user is the name.
    where, told = await rows_of(access.reader, source, replace(selection, projects=()), _NAMED, conditions)
    return await access.reader.table(Scan(source, names, where, order)), told


async def _clusters(access: Access, question: DirectoryQuestion) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the rows, and sentences for the reader."""
    source = Table.UNITS
    conditions: list[Condition] = []
    if not access.as_admin:
        source = Table.PROJECTS
        conditions.append(Holds("users", (access.viewer.login,)))
    elif access.clusters is not None:
        own = await access.memberships((access.viewer.login,)) if access.also_own else ()
        # A project need not have a cluster.
        clusters = {*access.clusters, *(cluster for cluster, _ in own if cluster is not None)}
        conditions.append(In("cluster_id", tuple(sorted(clusters))))
    selection = replace(question.selection, projects=(), users=())
    where, told = await rows_of(access.reader, source, selection, _CLUSTERED, conditions)
    found = await access.reader.distinct(Distinct(source, ("cluster_id", "resource_manager"), where))
    return found.rename_columns(["id", "manager"]), told
