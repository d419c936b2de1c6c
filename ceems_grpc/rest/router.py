"""The CEEMS REST API: finds the route of a request, and turns errors into responses."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from ceems_grpc.domain.errors import ErrorType, QuestionError
from ceems_grpc.domain.questions.model import Viewer
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.parameters import Parameters, parse_query
from ceems_grpc.rest.responses import error_response, failure_response
from ceems_grpc.rest.route import ApiCall, Audience, Route
from ceems_grpc.rest.routes import ROUTES
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.runtime.cancellation import run_cancellable
from ceems_grpc.store.runtime.query_trace import QueryTrace
from ceems_grpc.telemetry.questions import add_spans, count_failure, counted

PREFIX = "api/v1/"
_BY_PATH = {route.path: route for route in ROUTES}
_PARSED_AT_ONCE = 16 * 1024  # characters of a query string; a thread parses longer ones
_METHODS = ("GET", "HEAD", "OPTIONS")


class Api:
    """Answers requests to the API."""

    def __init__(self, ceems: Ceems) -> None:
        self._ceems = ceems

    async def answer(self, viewer: Viewer | None, method: str, path: str, query: str) -> ResourceResponse:
        """Answer one request. ``query`` is the raw query string; ``viewer`` is the signed-in user, if any."""
        response = await self._answer(viewer, method, path, query)
        return await _without_body(response) if method == "HEAD" else response

    async def _answer(self, viewer: Viewer | None, method: str, path: str, query: str) -> ResourceResponse:
        route = _BY_PATH.get(path.strip("/").removeprefix(PREFIX))
        if route is None:
            return error_response(404, "not_found", "no such path")
        if method not in _METHODS:
            refused = error_response(405, "method_not_allowed", f"{method[:20]} is not allowed here; use GET")
            return ResourceResponse(405, {**refused.headers, "Allow": ", ".join(_METHODS)}, refused.body)
        if method == "OPTIONS":
            return ResourceResponse(204, {"Allow": ", ".join(_METHODS)})
        try:
            with counted(route.name, spans=not route.streamed) as trace:
                response = await self._call(viewer, route, query)
            return _with_spans(response, trace) if route.streamed else response
        except QuestionError as error:
            count_failure(error)
            return await self._refuse(viewer, route, error)
        except StoreError as error:
            count_failure(error)
            return failure_response(error)

    async def _call(self, viewer: Viewer | None, route: Route, query: str) -> ResourceResponse:
        given = await _parsed(query) if route.reads_query else {}
        parameters = {name: values for name, values in given.items() if route.takes(name)}
        return await route.handler(ApiCall(self._ceems, viewer, route, parameters, self._ceems.now()))

    async def _refuse(self, viewer: Viewer | None, route: Route, error: QuestionError) -> ResourceResponse:
        if error.type is ErrorType.BAD_DATA and route.audience is not Audience.ANYBODY:
            try:  # a viewer who may not ask at all learns that first
                await self._ceems.require(viewer, route.as_admin)
            except QuestionError as refusal:
                error = refusal
            except StoreError as failure:
                return failure_response(failure)
        return error_response(error.status, error.type, str(error))


async def _parsed(query: str) -> Parameters:
    if len(query) <= _PARSED_AT_ONCE:
        return parse_query(query)
    return await run_cancellable(lambda: parse_query(query))


def _with_spans(response: ResourceResponse, trace: QueryTrace) -> ResourceResponse:
    """Add the spans of the statements after the rows have been read."""
    body = response.body
    if not isinstance(body, AsyncGenerator):
        add_spans(trace)
        return response

    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(body):
                async for part in body:
                    yield part
        finally:
            add_spans(trace)

    return replace(response, body=parts())


async def _without_body(response: ResourceResponse) -> ResourceResponse:
    if isinstance(response.body, AsyncGenerator):
        await anext(response.body, b"")  # a generator that has not started does not close what it reads from
        await response.body.aclose()
    return ResourceResponse(response.status, response.headers)
