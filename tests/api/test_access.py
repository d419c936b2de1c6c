"""Who may see what: every kind of user, at every endpoint, with every role of Grafana."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.databases import NOON
from tests.support.people import write_people_site
from tests.support.plugin.ceems import Answered
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source, error_of, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = ("", "None", "Viewer", "Editor", "Admin")
EVERYBODY = ("ann", "bob", "alpha:svc", "cat", "dan")
COLLEAGUES = {
    "ann": {"ann", "bob", "alpha:svc"}, "bob": {"ann", "bob", "alpha:svc"}, "alpha:svc": {"ann", "bob", "alpha:svc"},
    "cat": {"cat"}, "dan": {"dan"}, "eve": set[str](), "stranger": set[str](), "root": set(EVERYBODY),
}  # fmt: skip
"""Whose usage each login may see."""

ANYBODYS = ("health", "demo/units", "demo/usage", "openapi.json")
ROWS = ("users", "projects", "units", "usage/current", "usage/global", "clusters")
ADMINS = (*(f"{path}/admin" for path in ROWS), "stats/current/admin", "stats/global/admin")
KINDS = (
    "users", "projects", "clusters", "resource-managers", "uuids", "states", "metric-keys", "emission-providers",
    "tag-keys", "tag-values", "fields",
)  # fmt: skip
SUGGESTIONS = tuple(f"suggest/{kind}" for kind in KINDS)
OWN_UNITS_ONLY = {"units", "users", "suggest/uuids", "suggest/states", "suggest/tag-keys", "suggest/tag-values"}

WIDE = (("from", 0), ("to", NOON + 3600), ("running", ""))
GREEDY = (
    *WIDE, ("project", "alpha"), ("project", "beta"), *(("user", login) for login in EVERYBODY), ("role", "admin"),
    ("cluster_id", "slurm-0"), ("cluster_id", "os-0"), ("groupby", "cluster_id"), ("column", "tags.owner"),
)  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "ceems.db"
    write_people_site(path)
    return path


def seen(body: bytes) -> set[str]:
    """Return the users whose units, metrics, tags, states or names appear in an answer."""
    text = body.decode()
    found = set()
    for login in EVERYBODY:
        marks = (f"unit-{login}", f"only_{login.replace(':', '_')}", f"tag-{login}", f"STATE-{login}", f"u-{login}")
        if any(f'"{mark}"' in text or f'"{mark}_total"' in text for mark in (*marks, login)):
            found.add(login)
    return found


def wanted_status(login: str | None, path: str, *, admin: bool) -> int:
    if path in ANYBODYS:
        return 200
    if login is None:
        return 401
    return 403 if path.endswith("/admin") and not admin else 200


def check_strangers_do_not_show(login: str, path: str, query: tuple[tuple[str, Any], ...], answer: Answered) -> None:
    """Check that an answer to somebody who is not an administrator shows nobody else."""
    where = f"{login} {path} {query}"
    allowed = {login} & set(EVERYBODY) if path in OWN_UNITS_ONLY else COLLEAGUES[login]
    if ("project", "alpha") in query and path in {"units", "suggest/uuids", "suggest/states", "suggest/tag-values"}:
        allowed = allowed | ({"alpha:svc"} & COLLEAGUES[login])
    assert seen(answer.body) <= allowed, where
    text = answer.body.decode()
    if login != "cat":
        assert "beta" not in text, where
    if login != "dan":
        assert "os-0" not in text, where
    elif path != "users":
        assert "slurm-0" not in text, where


@pytest.mark.parametrize("login", [None, *COLLEAGUES])
async def test_every_user_at_every_endpoint_with_every_role(plugin: Plugin, database: Path, login: str | None) -> None:
    ceems = source(plugin, database)
    admin = login == "root"
    for path in (*ANYBODYS, *ROWS, *ADMINS, *SUGGESTIONS):
        for query, roles in ((WIDE, ("Viewer",)), (GREEDY, ROLES)):
            answers = await asyncio.gather(*(ceems.get(login, path, *query, role=role) for role in roles))
            for answer in answers:
                assert answer.status == wanted_status(login, path, admin=admin), (login, path, answer.body)
                if answer.status == 401:
                    assert error_of(answer) == (401, "unauthorized", "no user identified")
                elif answer.status == 403:
                    message = "current user does not have admin privileges"
                    assert error_of(answer) == (403, "forbidden", message)
                elif login is not None and not admin and path not in ANYBODYS:
                    check_strangers_do_not_show(login, path, query, answer)
            if not path.startswith("demo/"):
                assert len({answer.body for answer in answers}) == 1, f"the role changes {path} for {login}"


@pytest.mark.parametrize("login", sorted(COLLEAGUES.keys() - {"root"}))
async def test_everybody_gets_just_what_is_theirs(plugin: Plugin, database: Path, login: str) -> None:
    ceems = source(plugin, database)
    own = {login} & set(EVERYBODY)

    async def owners(path: str, *query: tuple[str, Any]) -> set[str]:
        return {row["username"] for row in await ceems.rows(login, path, *query)}

    assert await owners("units", *WIDE) == own
    named = (*WIDE, ("project", "alpha"))
    in_alpha = own - {"cat"}
    assert await owners("units", *named) == in_alpha | ({"alpha:svc"} & COLLEAGUES[login])
    assert await owners("usage/current", *WIDE) == COLLEAGUES[login]
    assert await owners("usage/current", *WIDE, ("experimental", "")) == COLLEAGUES[login]
    assert await owners("usage/global") == COLLEAGUES[login]
    users = await ceems.rows(login, "users")
    assert {row["name"] for row in users} == {login} - {"stranger"}
    projects = await ceems.rows(login, "projects")
    assert {name for row in projects for name in row["users"]} == COLLEAGUES[login]
    clusters = {"dan": ["os-0"], "eve": [], "stranger": []}.get(login, ["slurm-0"])
    assert [row["id"] for row in await ceems.rows(login, "clusters")] == clusters


@pytest.mark.parametrize("login", sorted(COLLEAGUES.keys() - {"root"}))
async def test_suggestions_hold_just_what_the_user_may_see(plugin: Plugin, database: Path, login: str) -> None:
    ceems = source(plugin, database)

    async def values(kind: str, *query: tuple[str, Any]) -> set[str]:
        return {row["value"] for row in await ceems.rows(login, f"suggest/{kind}", *query)}

    own = {login} & set(EVERYBODY)
    metric_keys = {f"only_{name.replace(':', '_')}" for name in COLLEAGUES[login]}
    times = {"alloc_cpumemtime", "alloc_cputime", "alloc_gpumemtime", "alloc_gputime", "walltime"}
    assert await values("users") == COLLEAGUES[login] | {login}
    assert await values("projects") == ({"alpha"} if own - {"cat"} else {"beta"} if own else set())
    assert await values("uuids") == {f"unit-{name}" for name in own}
    assert await values("states") == {f"STATE-{name}" for name in own}
    assert await values("tag-values", ("column", "tags.owner")) == {f"tag-{name}" for name in own}
    assert await values("tag-values", ("column", "username")) == own
    assert await values("metric-keys", ("column", "total_cpu_energy_usage_kwh")) == metric_keys
    assert await values("metric-keys", ("column", "total_time_seconds")) == (times if own else set())
    assert await values("emission-providers") == {f"{key}_total" for key in metric_keys}
    answer = await ceems.get(login, "suggest/users", ("admin", "true"))
    assert error_of(answer)[:2] == (403, "forbidden")


async def test_an_admin_of_the_table_sees_everybody_where_admins_ask(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for path in ("units/admin", "usage/current/admin", "usage/global/admin"):
        assert {row["username"] for row in await ceems.rows("root", path, *WIDE)} == set(EVERYBODY), path
        # Without the administrator's mode, root sees nothing: root has no units and no project.
        assert await ceems.rows("root", path.removesuffix("/admin"), *WIDE) == [], path
    assert {row["name"] for row in await ceems.rows("root", "users/admin")} == {*EVERYBODY, "eve"}
    assert [row["name"] for row in await ceems.rows("root", "users/admin", ("role", "admin"))] == ["root"]
    assert [row["name"] for row in await ceems.rows("root", "projects/admin")] == ["alpha", "alpha", "beta"]
    assert [row["id"] for row in await ceems.rows("root", "clusters/admin")] == ["os-0", "slurm-0"]


async def test_a_role_in_the_query_of_users_changes_nothing(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for login in ("ann", "root", "eve"):
        assert await ceems.rows(login, "users", ("role", "admin")) == await ceems.rows(login, "users")


@pytest.mark.parametrize("login", ["ann", "bob", "alpha:svc", "cat", "dan", "eve", "stranger", "root"])
@pytest.mark.parametrize("owner", EVERYBODY)
async def test_verify_is_for_members_of_the_project_on_that_cluster(
    plugin: Plugin, database: Path, login: str, owner: str
) -> None:
    ceems = source(plugin, database)
    both = (("cluster_id", "slurm-0"), ("cluster_id", "os-0"))
    answer = await ceems.get(login, "units/verify", ("uuid", f"unit-{owner}"), *both, role="Admin")
    # Administrators too: verify is about the user's own projects.
    assert answer.status == (200 if login != "root" and owner in COLLEAGUES[login] else 403)
    other = "slurm-0" if owner == "dan" else "os-0"
    answer = await ceems.get(login, "units/verify", ("uuid", f"unit-{owner}"), ("cluster_id", other))
    assert error_of(answer) == (403, "forbidden", "user do not have permissions on uuids")
    assert (await ceems.get(login, "units/verify", ("uuid", f"unit-{owner}"))).status == 403


async def test_one_foreign_unit_among_own_fails_verify(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    slurm = ("cluster_id", "slurm-0")
    for other in ("unit-cat", "unit-nobody", ""):
        answer = await ceems.get("ann", "units/verify", slurm, ("uuid", "unit-ann"), ("uuid", other))
        assert answer.status == 403, other
    assert error_of(await ceems.get("ann", "units/verify", slurm)) == (400, "bad_data", "uuids missing in the request")


@pytest.mark.parametrize("admin_role", ["Viewer", "Editor", "Admin"])
async def test_a_role_of_grafana_counts_as_admin_where_settings_say_so(
    plugin: Plugin, database: Path, admin_role: str
) -> None:
    ceems = source(plugin, database, adminRole=admin_role)
    ranks = ("Viewer", "Editor", "Admin")
    for role in ROLES:
        admin = role in ranks and ranks.index(role) >= ranks.index(admin_role)
        for path in ADMINS:
            answer = await ceems.get("ann", path, *WIDE, role=role)
            assert answer.status == (200 if admin else 403), (role, path)
            assert (await ceems.get("root", path, *WIDE, role=role)).status == 200
            assert (await ceems.get(None, path, *WIDE, role=role)).status == 401
        mine = await ceems.rows("ann", "units", *WIDE, role=role)
        assert {row["username"] for row in mine} == {"ann"}, role
        found = await ceems.rows("ann", "suggest/uuids", role=role)
        assert {row["value"] for row in found} == ({f"unit-{x}" for x in EVERYBODY} if admin else {"unit-ann"}), role


@pytest.mark.parametrize(("service_user", "status"), [("", 401), ("ann", 200), ("stranger", 200), (" ann ", 200)])
async def test_the_service_user_asks_where_nobody_is_signed_in(
    plugin: Plugin, database: Path, service_user: str, status: int
) -> None:
    ceems = source(plugin, database, serviceUser=service_user, serviceUserResources=True)
    for path in (*ROWS, *SUGGESTIONS):
        answer = await ceems.get(None, path, *WIDE, role="Admin")
        assert answer.status == status, path
        if status == 200:
            same = await ceems.get(service_user.strip(), path, *WIDE)
            assert answer.body == same.body, path
        visitor = await ceems.get("", path, *WIDE, role="Admin")
        assert visitor.status == 401, path
        signed_in = await ceems.get("cat", path, *WIDE)
        check_strangers_do_not_show("cat", path, WIDE, signed_in)
    for path in ADMINS:
        # A role without a user makes nobody an administrator.
        assert (await ceems.get(None, path, role="Admin")).status == (403 if status == 200 else 401)


async def test_a_service_user_has_no_role(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database, serviceUser="ann", serviceUserResources=True, adminRole="Viewer")
    assert (await ceems.get(None, "units/admin", role="Admin")).status == 403
    assert (await ceems.get("ann", "units/admin", role="Viewer")).status == 200


async def test_queries_of_panels_know_the_same_people(plugin: Plugin, database: Path) -> None:
    ceems: Source = source(plugin, database)
    window = (0, (NOON + 3600) * 1000)
    models: dict[str, dict[str, Any]] = {
        "mine": {"queryType": "units"},
        "admin": {"queryType": "units", "admin": True},
        "auto": {"queryType": "units", "admin": "auto"},
    }
    for login, statuses in (("ann", (200, 403, 200)), ("root", (200, 200, 200)), (None, (401, 401, 401))):
        answers = await ceems.query(login, models, window, role="Admin")
        assert tuple(answers[name].status for name in models) == statuses, login
    assert (await ceems.table("ann", models["auto"], window)).column("username").to_pylist() == ["ann"]
    assert set((await ceems.table("root", models["auto"], window)).column("username").to_pylist()) == set(EVERYBODY)


async def test_health_tells_what_there_is_to_administrators_only(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database)
    for login, role in (("root", "Viewer"), ("ann", "Admin")):
        health = await ceems.health(login, role)
        assert "units on" in health.message, (login, role)
        assert json.loads(health.jsonDetails)["clusters"], (login, role)
    for login, role in (("ann", "Viewer"), ("ann", "Editor"), ("nobody at all", "Viewer")):
        health = await ceems.health(login, role)
        assert health.status == pb.CheckHealthResponse.OK
        assert health.message.startswith("The database answers; its newest update is from "), login
        told = json.loads(health.jsonDetails)
        assert set(told) == {"verboseMessage", "newestUpdate", "mirror", "warnings"}
        assert not any(word in str(told) for word in ("units", "cluster", str(database), database.name))
