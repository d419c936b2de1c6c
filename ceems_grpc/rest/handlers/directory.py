"""Users, projects, clusters and administrators; and whether units belong to the signed-in user's projects."""

from ceems_grpc.domain.questions.model import Directory, DirectoryQuestion, Selection, VerifyQuestion
from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.json_shapes import Shape
from ceems_grpc.rest.responses import answer_response, null_response
from ceems_grpc.rest.route import ApiCall
from ceems_grpc.rest.row_shapes import CLUSTER_SHAPE, PROJECT_SHAPE, USER_SHAPE


async def users(call: ApiCall) -> ResourceResponse:
    """Respond with users; with ``role=admin``, with all administrators."""
    if "admin" in call.parameters.get("role", ()):
        return await _directory(call, Directory.ADMINS, Selection(), USER_SHAPE)
    return await _directory(call, Directory.USERS, call.selection, USER_SHAPE)


async def projects(call: ApiCall) -> ResourceResponse:
    """Respond with projects."""
    return await _directory(call, Directory.PROJECTS, call.selection, PROJECT_SHAPE)


async def clusters(call: ApiCall) -> ResourceResponse:
    """Respond with clusters."""
    return await _directory(call, Directory.CLUSTERS, call.selection, CLUSTER_SHAPE)


async def verify(call: ApiCall) -> ResourceResponse:
    """Respond with success if every unit belongs to one of the user's projects."""
    given = call.parameters
    await call.ceems.verify(call.viewer, VerifyQuestion(given.get("uuid", ()), given.get("cluster_id", ())))
    return null_response()


async def _directory(call: ApiCall, directory: Directory, selection: Selection, shape: Shape) -> ResourceResponse:
    question = DirectoryQuestion(directory, selection, admin=call.admin)
    return await answer_response(await call.ceems.directory(call.viewer, question), shape)
