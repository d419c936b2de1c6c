"""The user in whose name Grafana's own requests are answered: alert rules, recording rules and public dashboards."""

from pathlib import Path

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.alerting.rules import SCHEDULER
from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin, read_frame
from tests.support.plugin.process import Plugin

WINDOW = (1_735_689_600_000, 1_767_225_600_000)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(params=["admin", ""])
def ceems(plugin: Plugin, request: pytest.FixtureRequest) -> CeemsPlugin:
    return CeemsPlugin(plugin, {"path": str(SYNTHETIC), "serviceUser": request.param})


async def ask(ceems: CeemsPlugin, user: pb.User | None, **headers: str) -> pb.DataResponse:
    context = ceems.asker(None).context()
    if user is not None:
        context.user.CopyFrom(user)
    request = pb.QueryDataRequest(
        pluginContext=context,
        headers=headers,
        queries=[
            pb.DataQuery(
                refId="A",
                json=b'{"queryType":"stats","mode":"global","admin":true}',
                timeRange=pb.TimeRange(fromEpochMS=WINDOW[0], toEpochMS=WINDOW[1]),
            )
        ],
    )
    answer: pb.QueryDataResponse = await ceems.plugin.call("Data.QueryData", request)
    return answer.responses["A"]


@pytest.mark.parametrize(
    "user",
    [
        None,
        pb.User(),
        pb.User(login=SCHEDULER, role="Admin"),
        *(pb.User(login=login, name=login, role="Admin") for login in (SCHEDULER, "service", "provisioning")),
    ],
)
async def test_nobody_is_the_service_user(ceems: CeemsPlugin, user: pb.User | None) -> None:
    response = await ask(ceems, user, FromAlert="true")
    if ceems.json_data["serviceUser"]:
        assert (response.status, response.error) == (200, "")
        assert read_frame(response.frames[0]).num_rows == 4
        assert b"SELECT" not in response.frames[0]
    else:
        assert response.status == 401
        assert "set serviceUser in the data source's settings" in response.error


@pytest.mark.parametrize(
    "user",
    [
        pb.User(login="mallory", role="Viewer"),
        pb.User(login=SCHEDULER, role="Editor"),
        pb.User(login=SCHEDULER, role="Viewer"),
        pb.User(login=SCHEDULER, role="Admin", email="mallory@example.org"),
        pb.User(login=SCHEDULER, role="Admin", name="Mallory"),
        pb.User(login="service", role="Viewer", name="service"),
        pb.User(login="service", role="Admin", name="service", email="service@example.org"),
        pb.User(login="provisioning", role="Admin", name="Mallory"),
    ],
)
async def test_no_header_makes_a_person_the_service_user(ceems: CeemsPlugin, user: pb.User) -> None:
    response = await ask(ceems, user, FromAlert="true", **{"http_X-Rule-Uid": "1"})
    assert (response.status, response.error) == (403, "current user does not have admin privileges")


@pytest.mark.parametrize(
    "user",
    [pb.User(role="Viewer"), pb.User(role="Admin"), pb.User(name="anonymous", role="Viewer"), pb.User(email="a@b")],
)
async def test_visitors_without_a_login_are_refused(ceems: CeemsPlugin, user: pb.User) -> None:
    response = await ask(ceems, user)
    assert (response.status, response.error) == (401, "no user identified")


@pytest.mark.parametrize("login", [SCHEDULER, "service", "provisioning"])
async def test_the_role_of_grafana_itself_counts_for_nothing(plugin: Plugin, login: str) -> None:
    """Also if the login differs from the expected one, so that it is unclear whether Grafana itself asks."""
    ceems = CeemsPlugin(plugin, {"path": str(SYNTHETIC), "adminRole": "Admin"})
    alone = await ask(ceems, pb.User(login=login, name=login, role="Admin"))
    assert alone.status == 401
    doubtful = await ask(ceems, pb.User(login=login, name="Another name", role="Admin"))
    assert (doubtful.status, doubtful.error) == (403, "current user does not have admin privileges")
    person = await ask(ceems, pb.User(login=login, name="A person", role="Admin", email="person@example.org"))
    assert (person.status, person.error) == (200, "")


@pytest.mark.parametrize("user", [None, pb.User(), pb.User(login="service", name="service", role="Admin")])
@pytest.mark.parametrize("allowed", [False, True])
async def test_resources_are_answered_as_the_service_user_only_where_that_is_set(
    plugin: Plugin, user: pb.User | None, allowed: bool
) -> None:
    settings = {"path": str(SYNTHETIC), "serviceUser": "admin", "serviceUserResources": allowed}
    context = CeemsPlugin(plugin, settings).asker(None).context()
    if user is not None:
        context.user.CopyFrom(user)
    request = pb.CallResourceRequest(
        pluginContext=context, path="stats/global/admin", url="stats/global/admin", method="GET"
    )
    parts = await plugin.collect("Resource.CallResource", request)
    assert parts[0].code == (200 if allowed else 401)


async def test_resources_have_no_service_user_by_header(ceems: CeemsPlugin) -> None:
    answer = await ceems.resource("mallory", "stats/global/admin", headers={"FromAlert": "true"})
    assert answer.status == 403


async def test_paths_are_not_told_to_rules(plugin: Plugin, tmp_path: Path) -> None:
    ceems = CeemsPlugin(plugin, {"path": str(tmp_path / "secret-folder" / "ceems.db"), "serviceUser": "admin"})
    response = await ask(ceems, pb.User(login=SCHEDULER, role="Admin"))
    assert response.status == 500
    assert "secret-folder" not in response.error
