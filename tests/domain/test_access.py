"""Who may see what, on two clusters with a project of the same name."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from ceems_grpc.domain.access import AdminScope, Rights
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import (
    AsAdmin,
    Directory,
    DirectoryQuestion,
    Mode,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems, Limits
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, WINTER, insert_rows, make, unit

EVER = Window(WINTER - 86_400, WINTER + 86_400)
MEMBERS = {
    ("c1", "alpha"): ["ann", "bob", "alpha:svc"],
    ("c2", "alpha"): ["cat", "alpha:svc"],
    ("c1", "beta"): ["cat", "alpha:svc"],  # the service account of alpha is a member of beta too
}
OWNERS = [
    *[("c1", "alpha", user) for user in ("ann", "bob", "alpha:svc")],
    *[("c2", "alpha", user) for user in ("cat", "alpha:svc")],
    ("c1", "beta", "cat"),
    ("c2", "gone", "ann"),  # of a project of which ann is not a member (any more)
]


@pytest.fixture
async def ceems(tmp_path: Path) -> AsyncIterator[Ceems]:
    units = [
        unit(index, cluster_id=cluster, project=project, username=user)
        for index, (cluster, project, user) in enumerate(OWNERS)
    ]
    path = make(tmp_path / "ceems.db", units)
    rows = [
        {"cluster_id": cluster, "resource_manager": "slurm", "num_units": 1, "project": project, "username": user}
        for cluster, project, user in OWNERS
    ]
    projects = [
        {"cluster_id": cluster, "resource_manager": "slurm", "name": name, "users": json.dumps(users)}
        for (cluster, name), users in MEMBERS.items()
    ]
    with closing(sqlite3.connect(path)) as connection:
        insert_rows(connection, "usage", rows)
        insert_rows(connection, "daily_usage", [{**row, "last_updated_at": "2025-12-01T01:00:00"} for row in rows])
        insert_rows(connection, "projects", projects)
        insert_rows(connection, "admin_users", [{"name": "root"}])
        connection.commit()
    service = Ceems(SqliteStore(path, zone=PARIS))
    yield service
    await service.close()


Owners = set[tuple[str, str, str]]


def seen(table: object) -> Owners:
    rows = table.to_pylist()  # type: ignore[attr-defined]
    return {(row["cluster_id"], row["project"], row["username"]) for row in rows}


async def units_of(ceems: Ceems, login: str, selection: Selection, admin: AsAdmin = False) -> Owners:
    return seen((await ceems.units(Viewer(login), UnitsQuestion(EVER, selection, admin=admin))).table)


async def usage_of(ceems: Ceems, login: str, selection: Selection, admin: AsAdmin = False) -> Owners:
    """Return the users whose usage is seen, which must be the same in every mode."""
    groups = ("cluster_id", "project", "username")
    answers = []
    for mode, source in (*((Mode.CURRENT, source) for source in Source), (Mode.GLOBAL, Source.UNITS)):
        question = UsageQuestion(EVER, mode, source, selection, group_by=groups, admin=admin)
        answers.append(seen((await ceems.usage(Viewer(login), question)).table))
    for source in Source:
        over_time = UsageOverTimeQuestion(
            EVER, source=source, selection=selection, group_by=groups, fields=("num_units",), admin=admin
        )
        answer, _ = await ceems.usage_over_time(Viewer(login), over_time)
        answers.append(seen(answer.table))
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


ALPHA_1 = {("c1", "alpha", "ann"), ("c1", "alpha", "bob"), ("c1", "alpha", "alpha:svc")}
ALPHA_2 = {("c2", "alpha", "cat"), ("c2", "alpha", "alpha:svc")}
BETA = {("c1", "beta", "cat")}


async def test_units_are_ones_own(ceems: Ceems) -> None:
    assert await units_of(ceems, "ann", Selection()) == {("c1", "alpha", "ann"), ("c2", "gone", "ann")}
    assert await units_of(ceems, "nobody", Selection()) == set()
    assert await units_of(ceems, "root", Selection()) == set(), (
        "administrators are ordinary users unless they ask as such"
    )


async def test_units_of_the_service_account_when_its_project_is_asked_on_the_members_cluster(ceems: Ceems) -> None:
    alpha = Selection(projects=("alpha",))
    assert await units_of(ceems, "ann", alpha) == {("c1", "alpha", "ann"), ("c1", "alpha", "alpha:svc")}
    assert await units_of(ceems, "cat", alpha) == {("c2", "alpha", "cat"), ("c2", "alpha", "alpha:svc")}
    assert await units_of(ceems, "eve", alpha) == set()


async def test_other_users_are_not_had_by_naming_them(ceems: Ceems) -> None:
    assert await units_of(ceems, "ann", Selection(users=("bob",))) == set()
    assert await units_of(ceems, "ann", Selection(users=("ann", "bob"))) == {
        ("c1", "alpha", "ann"),
        ("c2", "gone", "ann"),
    }
    assert await usage_of(ceems, "ann", Selection(users=("cat",))) == set()


async def test_usage_is_that_of_all_members_of_ones_projects_on_their_cluster(ceems: Ceems) -> None:
    assert await usage_of(ceems, "ann", Selection()) == ALPHA_1
    assert await usage_of(ceems, "cat", Selection()) == ALPHA_2 | BETA
    assert await usage_of(ceems, "eve", Selection()) == set()


async def test_a_service_account_opens_no_other_project(ceems: Ceems) -> None:
    assert await usage_of(ceems, "ann", Selection(projects=("alpha", "beta"))) == ALPHA_1
    assert await usage_of(ceems, "eve", Selection(projects=("alpha", "beta"))) == set()


async def test_administrators(ceems: Ceems) -> None:
    everything = set(OWNERS)
    assert await units_of(ceems, "root", Selection(), admin=True) == everything
    assert await usage_of(ceems, "root", Selection(), admin=True) == everything
    assert await units_of(ceems, "root", Selection(projects=("beta",)), admin=True) == BETA
    assert await usage_of(ceems, "root", Selection(projects=("beta",)), admin=True) == BETA
    assert await units_of(ceems, "root", Selection(users=("bob",)), admin=True) == {("c1", "alpha", "bob")}
    assert await usage_of(ceems, "root", Selection(users=("bob",)), admin=True) == ALPHA_1


async def test_auto_is_an_administrator_who_is_one_and_else_oneself(ceems: Ceems) -> None:
    assert await units_of(ceems, "root", Selection(), admin="auto") == set(OWNERS)
    assert await units_of(ceems, "bob", Selection(), admin="auto") == {("c1", "alpha", "bob")}


async def test_a_role_may_make_an_administrator(ceems: Ceems) -> None:
    answer = await ceems.units(Viewer("eve", admin_by_role=True), UnitsQuestion(EVER, admin=True))
    assert answer.table.num_rows == len(OWNERS)


@pytest.mark.parametrize("login", ["ann", "ROOT", "root ", "", "%", "eve"])
async def test_who_is_no_administrator_is_told(ceems: Ceems, login: str) -> None:
    viewer = Viewer(login)
    for ask in (
        ceems.units(viewer, UnitsQuestion(EVER, admin=True)),
        ceems.usage(viewer, UsageQuestion(EVER, admin=True)),
        ceems.stats(viewer, StatsQuestion(EVER, admin=True)),
        ceems.directory(viewer, DirectoryQuestion(Directory.ADMINS, admin=True)),
    ):
        with pytest.raises(QuestionError, match="does not have admin privileges") as caught:
            await ask
        assert caught.value.status == 403


async def test_nobody_is_told_to_sign_in(ceems: Ceems) -> None:
    for ask in (
        ceems.units(None, UnitsQuestion(EVER)),
        ceems.usage(None, UsageQuestion(EVER)),
        ceems.usage_over_time(None, UsageOverTimeQuestion(EVER)),
        ceems.stats(None, StatsQuestion(EVER)),
        ceems.directory(None, DirectoryQuestion(Directory.CLUSTERS)),
        ceems.verify(None, VerifyQuestion(("1",), ("c1",))),
    ):
        with pytest.raises(QuestionError, match="no user identified") as caught:
            await ask
        assert caught.value.status == 401
    with pytest.raises(QuestionError):
        await anext(ceems.units_stream(None, UnitsQuestion(EVER), None, []))


@pytest.mark.parametrize(
    ("login", "uuids", "clusters", "allowed"),
    [
        ("ann", ("0", "1", "2"), ("c1",), True),  # colleagues' units too
        ("ann", ("0", "0"), ("c1",), True),  # repeated values count once
        ("ann", ("0",), ("c2",), False),
        ("ann", ("0",), (), False),
        ("ann", ("0", "3"), ("c1", "c2"), False),  # a project with the same name on another cluster
        ("ann", ("0", "none"), ("c1",), False),
        ("ann", ("6",), ("c2",), False),  # the viewer's own unit, in a project of which the viewer is not a member
        ("cat", ("3", "5"), ("c1", "c2"), True),
        ("root", ("0",), ("c1",), False),
        ("ann", ("' OR 1=1 --",), ("c1",), False),
    ],
)
async def test_verify(
    ceems: Ceems, login: str, uuids: tuple[str, ...], clusters: tuple[str, ...], allowed: bool
) -> None:
    if allowed:
        await ceems.verify(Viewer(login), VerifyQuestion(uuids, clusters))
        return
    with pytest.raises(QuestionError, match="user do not have permissions on uuids") as caught:
        await ceems.verify(Viewer(login), VerifyQuestion(uuids, clusters))
    assert caught.value.status == 403


async def test_verify_without_units_is_malformed(ceems: Ceems) -> None:
    with pytest.raises(QuestionError, match="uuids missing") as caught:
        await ceems.verify(Viewer("ann"), VerifyQuestion((), ("c1",)))
    assert caught.value.status == 400


async def test_rights_of_many_long_names_take_little_memory(tmp_path: Path) -> None:
    rights = Rights()
    store = SqliteStore(make(tmp_path / "ceems.db"))
    async with store.read() as reader:
        for number in range(50):
            logins = tuple(f"{number}-{index}-{'x' * 900}" for index in range(20))
            assert await rights.memberships(reader, logins) == ()
            assert not (await rights.admin_scope(reader, logins[0])).is_admin
    await store.close()
    for cache in (rights._pairs, rights._admins):
        assert max(map(len, cache)) <= 200
        assert cache.currsize <= cache.maxsize == 8 * 1024 * 1024


async def test_rights_are_asked_anew_after_their_lifetime(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db")
    now = 0.0
    rights = Rights(lambda: now)
    store = SqliteStore(path)

    def write(statement: str, *values: str) -> None:
        with closing(sqlite3.connect(path)) as writer:
            writer.execute(statement, values)
            writer.commit()

    async def known() -> tuple[AdminScope, tuple[tuple[str | None, str | None], ...]]:
        async with store.read() as reader:
            return await rights.admin_scope(reader, "ann"), await rights.memberships(reader, ("ann", "bob", "ann"))

    write("INSERT INTO admin_users (name) VALUES ('ann')")
    write("INSERT INTO projects (cluster_id, name, users) VALUES ('c1', 'p', '[\"ann\"]')")
    write("INSERT INTO projects (cluster_id, name, users) VALUES (NULL, NULL, '[\"bob\"]')")
    admin, pairs = await known()
    assert admin == AdminScope(True)
    assert set(pairs) == {(None, None), ("c1", "p")}
    write("DELETE FROM admin_users")
    write("DELETE FROM projects")
    now = Rights.LIFETIME + 0.1
    assert await known() == (AdminScope(False), ())
    await store.close()


async def test_a_window_longer_than_allowed(ceems: Ceems) -> None:
    limited = Ceems(ceems.store, Limits(max_window=timedelta(days=1)))
    viewer, wide = Viewer("ann"), Window(WINTER - 86_401, WINTER)
    for ask in (
        limited.units(viewer, UnitsQuestion(wide)),
        limited.usage(viewer, UsageQuestion(wide)),
        limited.usage_over_time(viewer, UsageOverTimeQuestion(wide)),
        limited.stats(viewer, StatsQuestion(wide)),
    ):
        with pytest.raises(QuestionError, match="maximum query window exceeded"):
            await ask
    assert (await limited.units(viewer, UnitsQuestion(wide, uuids=("0",)))).table.num_rows == 1
    assert (await limited.usage(viewer, UsageQuestion(wide, Mode.GLOBAL))).table.num_rows == 3
    assert (await limited.stats(viewer, StatsQuestion(wide, Mode.GLOBAL))).table.num_rows == 2


async def test_windows_at_the_ends_of_time(ceems: Ceems) -> None:
    last = 253_402_300_799
    viewer = Viewer("ann")
    for window in (Window(0, last), Window(last, last), Window(last, 0), Window(0, 0)):
        await ceems.units(viewer, UnitsQuestion(window))
        await ceems.stats(viewer, StatsQuestion(window))
        for source in Source:
            rows = (await ceems.usage(viewer, UsageQuestion(window, source=source))).table.num_rows
            assert rows == (3 if window == Window(0, last) else 0)
            with nullcontext() if window == Window(0, 0) else pytest.raises(QuestionError):
                await ceems.usage_over_time(viewer, UsageOverTimeQuestion(window, source=source))


@pytest.mark.parametrize("clusters", [None, ["c1", "c2"]])
async def test_listing_all_clusters_is_as_administering_all(tmp_path: Path, clusters: list[str] | None) -> None:
    path = make(tmp_path / "ceems.db", [unit(0, cluster_id="c1", project="alpha", username="gone")])
    row = {"cluster_id": "c1", "resource_manager": "slurm", "num_units": 1, "project": "alpha", "username": "gone"}
    with closing(sqlite3.connect(path)) as connection:
        insert_rows(connection, "usage", [row])
        project = {"cluster_id": "c1", "resource_manager": "slurm", "name": "alpha", "users": '["ann"]'}
        insert_rows(connection, "projects", [project])
        insert_rows(connection, "admin_users", [{"name": "ann"}])
        if clusters is not None:
            connection.execute("ALTER TABLE admin_users ADD COLUMN clusters TEXT")
            connection.execute("UPDATE admin_users SET clusters = ?", [json.dumps(clusters)])
        connection.commit()
    service = Ceems(SqliteStore(path, zone=PARIS))
    # An administrator who names a user gets the projects of which that user is a member: here none.
    assert await usage_of(service, "ann", Selection(users=("gone",)), "auto") == set()
    await service.close()
