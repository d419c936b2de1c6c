"""Logins, roles and users in the plugin context that pretend to be somebody else."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.hostile.test_query_models import METACHARACTERS
from tests.hostile.wellness import MILLISECONDS, WINDOW
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ADMINS = ("users/admin", "units/admin", "usage/current/admin", "stats/global/admin", "clusters/admin")
_ROLES = (
    "",
    "None",
    "viewer",
    "ADMIN",
    "admin",
    " Admin",
    "Admin ",
    "GrafanaAdmin",
    "Grafana Admin",
    "Server Admin",
    "Owner",
    "Admin\0",
    "Admin,Viewer",
    '["Admin"]',
    "Administrator",
    "\u0410dmin",
    "Editor\nAdmin",
    "true",
    "1",
    "*",
)


async def asked_as(
    plugin: Plugin, ceems: Source, user: pb.User, model: dict[str, Any] | None = None
) -> pb.DataResponse:
    """Send a panel's query with a user in the plugin context."""
    context = ceems.asker("x").context()
    context.user.CopyFrom(user)
    query = pb.DataQuery(
        refId="A",
        json=json.dumps(model or {"queryType": "units", "fields": ["uuid"]}).encode(),
        timeRange=pb.TimeRange(fromEpochMS=MILLISECONDS[0], toEpochMS=MILLISECONDS[1]),
    )
    answer = await plugin.call("Data.QueryData", pb.QueryDataRequest(pluginContext=context, queries=[query]))
    response: pb.DataResponse = answer.responses["A"]
    return response


_pieces = st.sampled_from(
    (*METACHARACTERS, "ann", "root", "alpha", ":svc", "alpha:svc", " ", "\n", "\t", ":", "@site", "\u0131")
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces=st.lists(_pieces, min_size=1, max_size=4))
async def test_a_login_is_nobody_but_itself(plugin: Plugin, ceems: Source, pieces: list[str]) -> None:
    login = "".join(pieces)
    if login in {"ann", "root", "alpha:svc"}:
        return
    answers = await asyncio.gather(*(ceems.get(login, path, *WINDOW) for path in _ADMINS))
    assert {answer.status for answer in answers} == {403}
    for path in ("units", "projects", "users", "usage/current"):
        assert await ceems.rows(login, path, *WINDOW) == [], (login, path)


@pytest.mark.parametrize("role", _ROLES)
async def test_roles_that_are_none_are_no_right(plugin: Plugin, ceems: Source, database: Path, role: str) -> None:
    del ceems
    for admin_role in ("Viewer", "Editor", "Admin"):
        wide = source(plugin, database, adminRole=admin_role)
        for path in _ADMINS:
            assert (await wide.get("eve", path, *WINDOW, role=role)).status == 403, (admin_role, path)
    missing = source(plugin, database.parent / "missing.db")
    health = await missing.health("eve", role)
    assert str(database.parent) not in health.message


async def test_other_parts_of_the_user_are_no_identity(plugin: Plugin, ceems: Source) -> None:
    for user in (
        pb.User(name="root", email="root@site", role="Admin"),
        pb.User(login="", name="root"),
        pb.User(role="Admin"),
    ):
        answer = await asked_as(plugin, ceems, user)
        assert (answer.status, len(answer.frames)) == (401, 0)
    for user in (
        pb.User(login="eve", name="root", email="root"),
        pb.User(login="eve", role="Admin"),
        pb.User(login="eve", email="ann"),
    ):
        answer = await asked_as(plugin, ceems, user, {"queryType": "units", "admin": True})
        assert answer.status == 403


async def test_a_service_account_is_a_login_of_its_own(plugin: Plugin, ceems: Source) -> None:
    assert [row["uuid"] for row in await ceems.rows("alpha:svc", "units", *WINDOW)] == ["unit-alpha:svc"]
    for login in ("alpha:SVC", "alpha :svc", "alpha:svc ", "beta:svc", ":svc", "alpha:", "sa-1-alpha", "alpha:svc:svc"):
        assert await ceems.rows(login, "units", *WINDOW, ("project", "alpha")) == [], login


async def test_somebody_called_as_the_scheduler_gains_nothing_by_it(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database, serviceUser="root")
    mine = {"queryType": "units", "admin": True}
    scheduler = pb.User(login="grafana_scheduler", role="Admin")
    assert (await asked_as(plugin, ceems, scheduler, mine)).status == 200  # Grafana itself, when it evaluates a rule
    for user in (
        pb.User(login="grafana_scheduler", role=""),
        pb.User(login="grafana_scheduler", role="admin"),
        pb.User(login="Grafana_Scheduler", role="Admin"),
        pb.User(login="grafana_scheduler ", role="Admin"),
        pb.User(login="eve", name="grafana_scheduler", role="Admin"),
    ):
        assert (await asked_as(plugin, ceems, user, mine)).status == 403, user
    # A user who is mistaken for Grafana loses their own rows, and gets nothing without a service user.
    plain = source(plugin, database, adminRole="Admin")
    assert (await asked_as(plugin, plain, scheduler, mine)).status == 401
