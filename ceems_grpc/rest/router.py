"""The CEEMS REST API, answered by the same questions as panels."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec
import pyarrow as pa

from ceems_grpc.domain.answers.answer import Answer, limit_warning
from ceems_grpc.domain.answers.suggestions import Suggestion, SuggestionKind, SuggestQuestion
from ceems_grpc.domain.errors import ErrorType, QuestionError
from ceems_grpc.domain.questions.fields import choose_fields
from ceems_grpc.domain.questions.model import (
    Directory,
    DirectoryQuestion,
    Mode,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana.backend.resource import ResourceResponse
from ceems_grpc.rest.endpoints import ENDPOINTS, UNIT_SHAPE, USAGE_SHAPE, Access, Endpoint
from ceems_grpc.rest.json_shapes import Shape, batch_json, rows_of_table
from ceems_grpc.rest.openapi import openapi_document
from ceems_grpc.rest.parameters import Parameters, as_admin, count, first, flag, parse_query, window_of
from ceems_grpc.rest.samples import sample_units, sample_usage
from ceems_grpc.store.columnar.json_rows import JsonText
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.runtime.query_trace import Account
from ceems_grpc.telemetry.questions import add_spans, count_failure, counted

_log = logging.getLogger(__name__)

PREFIX = "api/v1/"
_BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}
_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
_ROWS_A_PART = 2048
_BYTES_A_PART = 128 * 1024  # larger messages wait for the reader half way


class Api:
    """Answers requests to the API."""

    def __init__(self, ceems: Ceems) -> None:
        self._ceems = ceems

    async def answer(self, viewer: Viewer | None, method: str, path: str, query: str) -> ResourceResponse:
        """Answer one request; ``query`` is the raw query string, the viewer whoever is signed in."""
        response = await self._answer(viewer, method, path, query)
        return await _without_body(response) if method == "HEAD" else response

    async def _answer(self, viewer: Viewer | None, method: str, path: str, query: str) -> ResourceResponse:
        endpoint = _BY_PATH.get(path.strip("/").removeprefix(PREFIX))
        if endpoint is None:
            return error_response(404, "not_found", "no such path")
        if method not in _METHODS:
            refused = error_response(405, "method_not_allowed", f"{method[:20]} is not allowed here; use GET")
            return ResourceResponse(405, {**refused.headers, "Allow": ", ".join(_METHODS)}, refused.body)
        if method == "OPTIONS":
            return ResourceResponse(204, {"Allow": ", ".join(_METHODS)})
        try:
            streamed = endpoint.question == "units"
            with counted(endpoint.question, spans=not streamed) as done:
                response = await self._get(viewer, endpoint, query)
            return _with_spans(response, done) if streamed else response
        except QuestionError as error:
            count_failure(error)
            return await self._refuse(viewer, endpoint, error)
        except StoreError as error:
            count_failure(error)
            return _failure(error)

    async def _refuse(self, viewer: Viewer | None, endpoint: Endpoint, error: QuestionError) -> ResourceResponse:
        if error.type is ErrorType.BAD_DATA and endpoint.access is not Access.ANYBODY:
            try:  # who may not ask at all is told that first
                await self._ceems.require(viewer, endpoint.as_admin)
            except QuestionError as refusal:
                error = refusal
            except StoreError as failure:
                return _failure(failure)
        return error_response(error.status, error.type, str(error))

    async def _get(self, viewer: Viewer | None, endpoint: Endpoint, query: str) -> ResourceResponse:
        if endpoint.question == "health":
            return await self._health()
        parameters = {name: values for name, values in parse_query(query).items() if endpoint.takes(name)}
        admin = endpoint.as_admin
        selection = _choice(parameters)
        fields = _fields(parameters, endpoint)
        now = self._ceems.now()
        match endpoint.question:
            case "units":
                units = UnitsQuestion(
                    window_of(parameters, now) if "uuid" not in parameters else window_of({}, now),
                    selection,
                    uuids=parameters.get("uuid", ()),
                    running=flag(parameters, "running"),
                    fields=fields,
                    admin=admin,
                )
                return await self._units(viewer, units, first(parameters, "timezone"))
            case "usage-current" | "usage-global" as which:
                usage = UsageQuestion(
                    window_of(parameters, now),
                    Mode.CURRENT if which == "usage-current" else Mode.GLOBAL,
                    Source.DAILY if flag(parameters, "experimental") else Source.UNITS,
                    selection,
                    group_by=tuple(filter(None, parameters.get("groupby", ()))),
                    fields=fields,
                    admin=admin,
                )
                answer = await self._ceems.usage(viewer, usage)
            case "stats-current" | "stats-global" as which:
                mode = Mode.CURRENT if which == "stats-current" else Mode.GLOBAL
                answer = await self._ceems.stats(
                    viewer, StatsQuestion(window_of(parameters, now), mode, selection, admin=admin)
                )
            case "verify":
                verification = VerifyQuestion(parameters.get("uuid", ()), parameters.get("cluster_id", ()))
                await self._ceems.verify(viewer, verification)
                return ResourceResponse(200, _HEADERS, b'{"status":"success","data":null}\n')
            case "demo-units":
                return _batch_rows(sample_units(now), UNIT_SHAPE)
            case "demo-usage":
                return _batch_rows(sample_usage(), USAGE_SHAPE)
            case "openapi":
                return ResourceResponse(200, _HEADERS, openapi_document())
            case which if which.startswith("suggest-"):
                return await self._suggest(
                    viewer, SuggestionKind(which.removeprefix("suggest-")), selection, parameters
                )
            case which:
                kind = Directory(which)
                if "admin" in parameters.get("role", ()):
                    kind = Directory.ADMINS
                    selection = Selection()
                answer = await self._ceems.directory(viewer, DirectoryQuestion(kind, selection, admin=admin))
        assert endpoint.shape is not None  # noqa: S101 - all that get here answer rows
        return _rows(answer, endpoint.shape)

    async def _health(self) -> ResourceResponse:
        headers = {**_HEADERS, "Content-Type": "text/plain; charset=utf-8"}
        try:
            await self._ceems.reach()
        except StoreError:
            return ResourceResponse(503, headers, b"KO")
        return ResourceResponse(200, headers, b"CEEMS API Server is healthy")

    async def _units(self, viewer: Viewer | None, question: UnitsQuestion, timezone: str) -> ResourceResponse:
        warnings: list[str] = []
        batches = self._ceems.units_stream(viewer, question, timezone, warnings)
        first_batch = await anext(batches)  # what goes wrong early becomes a status
        return ResourceResponse(200, _HEADERS, _units_body(first_batch, batches, warnings))

    async def _suggest(
        self, viewer: Viewer | None, kind: SuggestionKind, selection: Selection, parameters: Parameters
    ) -> ResourceResponse:
        question = SuggestQuestion(
            kind,
            first(parameters, "prefix"),
            count(parameters, "limit", 100),
            selection,
            first(parameters, "column"),
            as_admin(parameters, "admin"),
        )
        found = await self._ceems.suggest(viewer, question)
        rows = b",".join(msgspec.json.encode(_without_empty(suggestion)) for suggestion in found.values)
        warnings = [missing.sentence for missing in found.missing]
        warnings += [limit_warning(question.limit, "suggestions")] if found.more else []
        return ResourceResponse(200, _HEADERS, _head() + rows + _tail(warnings))


def _without_empty(suggestion: Suggestion) -> dict[str, str]:
    return {name: text for name, text in asdict(suggestion).items() if text or name == "value"}


def error_response(status: int, error_type: str, message: str) -> ResourceResponse:
    """Write an error as the API does."""
    body = {"status": "error", "data": None, "errorType": error_type, "error": message}
    return ResourceResponse(status, _HEADERS, msgspec.json.encode(body) + b"\n")


def _failure(error: StoreError) -> ResourceResponse:
    _log.warning("the database did not answer", extra={"detail": error.detail})
    if isinstance(error, StoreBusyError):
        return error_response(503, ErrorType.UNAVAILABLE, str(error))
    return error_response(500, ErrorType.INTERNAL, str(error))


def _choice(parameters: Parameters) -> Selection:
    return Selection(parameters.get("cluster_id", ()), parameters.get("project", ()), parameters.get("user", ()))


def _fields(parameters: Parameters, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the columns of the API that are asked for; unknown ones beside known ones are dropped silently."""
    if endpoint.shape is None or not endpoint.takes("field"):
        return ()
    chosen = choose_fields(parameters.get("field", ()), endpoint.shape.columns, keys=False)
    return tuple(column.name for column in chosen.columns)


def _rows(answer: Answer, shape: Shape) -> ResourceResponse:
    body = _head() + b",".join(rows_of_table(answer.table, shape)) + _tail(answer.notices)
    kept = {} if answer.expires is None else {"Expires": format_datetime(_utc(answer.expires), usegmt=True)}
    return ResourceResponse(200, {**_HEADERS, **kept}, body)


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def _batch_rows(batch: pa.RecordBatch, shape: Shape) -> ResourceResponse:
    return ResourceResponse(200, _HEADERS, _head() + batch_json(batch, shape) + _tail(()))


async def _units_body(
    item: pa.RecordBatch | JsonText, items: AsyncGenerator[pa.RecordBatch | JsonText, None], warnings: list[str]
) -> AsyncGenerator[bytes, None]:
    between = _head()
    async with aclosing(items):  # reading must not go on for somebody who has left
        while True:
            async for text in _texts(item):
                yield between + text[:_BYTES_A_PART]
                for start in range(_BYTES_A_PART, len(text), _BYTES_A_PART):
                    yield text[start : start + _BYTES_A_PART]
                between = b","
            try:
                item = await anext(items)
            except StopAsyncIteration:
                break
    yield (_head() if between != b"," else b"") + _tail(warnings)


async def _texts(item: pa.RecordBatch | JsonText) -> AsyncGenerator[bytes, None]:
    """Yield rows as JSON, joined by commas, some at a time."""
    if isinstance(item, JsonText):
        yield item.text
        return
    for start in range(0, item.num_rows, _ROWS_A_PART):
        yield await asyncio.to_thread(batch_json, item.slice(start, _ROWS_A_PART), UNIT_SHAPE)


def _head() -> bytes:
    return b'{"status":"success","data":['


def _tail(warnings: Iterable[str]) -> bytes:
    said = list(warnings)
    return b"]" + (b',"warnings":' + msgspec.json.encode(said) if said else b"") + b"}\n"


def _with_spans(response: ResourceResponse, done: Account) -> ResourceResponse:
    """Add the statements' spans once the rows have been read."""
    body = response.body

    async def parts() -> AsyncGenerator[bytes, None]:
        assert isinstance(body, AsyncGenerator)  # noqa: S101 - streamed answers are
        try:
            async with aclosing(body):
                async for part in body:
                    yield part
        finally:
            add_spans(done)

    return replace(response, body=parts())


async def _without_body(response: ResourceResponse) -> ResourceResponse:
    if isinstance(response.body, AsyncGenerator):
        await anext(response.body, b"")  # only what has begun ends what it reads from
        await response.body.aclose()
    return ResourceResponse(response.status, response.headers)
