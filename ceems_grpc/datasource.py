"""One configured data source: its settings, its store, its panels and its REST API."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

from ceems_grpc.domain.access import SHARED_TAGS
from ceems_grpc.domain.errors import ErrorType, QuestionError, no_service_user, no_user
from ceems_grpc.domain.questions.model import Viewer
from ceems_grpc.domain.service import Ceems, Limits
from ceems_grpc.grafana.backend.context import Caller, PluginContext
from ceems_grpc.grafana.backend.diagnostics import HealthResult, HealthStatus
from ceems_grpc.grafana.backend.errors import ErrorSource, PluginError
from ceems_grpc.grafana.backend.query import DataQuery
from ceems_grpc.grafana.backend.resource import ResourceRequest, ResourceResponse
from ceems_grpc.grafana.backend.sent import when_sent
from ceems_grpc.grafana.backend.stream import (
    PublishResult,
    PublishStatus,
    StreamRequest,
    SubscribeResult,
    SubscribeStatus,
)
from ceems_grpc.grafana.data.frame import Frame
from ceems_grpc.health import brief_health_result, health_result
from ceems_grpc.panels.answers import Panels
from ceems_grpc.panels.live import Live
from ceems_grpc.panels.live_rights import LiveRights, Scope
from ceems_grpc.rest.responses import error_response, failure_response
from ceems_grpc.rest.router import Api
from ceems_grpc.settings import PluginSettings, Settings, SettingsError, plugin_settings
from ceems_grpc.store.create import create_store
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.runtime.admission import Queue
from ceems_grpc.store.runtime.memory_budget import BUDGET, claim_request
from ceems_grpc.store.sources import FileSource
from ceems_grpc.telemetry.mirrors import MIRRORS
from ceems_grpc.telemetry.questions import failures_counted

_log = logging.getLogger(__name__)

_DEFAULT_ROW_LIMIT = 1_000_000
_LIVE_RIGHTS = LiveRights()  # of the process: they outlive data sources, which are replaced when settings change


async def create_local_datasource(context: PluginContext, plugin: PluginSettings | None = None) -> "CeemsDataSource":
    """Open the data source that the context's settings describe. Wrong settings are a `PluginError`."""
    settings = read_settings(context, plugin)
    uid = context.data_source.uid if context.data_source else ""
    return CeemsDataSource(settings, grafana_row_limit(context), uid=uid, scope=scope_of(context))


def scope_of(context: PluginContext) -> Scope:
    """Return the identity of a configured data source, which does not depend on its settings."""
    return (context.org_id, context.data_source.uid if context.data_source else "")


def join_budget(owner: object, settings: Settings) -> None:
    """Count the mirrors and caches of an owner in the memory budget. Call it before the sources are opened."""
    files = sum(isinstance(source, FileSource) for source in settings.sources)
    BUDGET.join(owner, settings.memory_limit, 0 if settings.store.mirror_mode == "off" else files)


def read_settings(context: PluginContext, plugin: PluginSettings | None = None) -> Settings:
    """Read the settings of the context's data source. Wrong settings, or no data source, are a `PluginError`."""
    if context.data_source is None:
        raise PluginError("No data source is named in the request.", status=400)
    try:
        return Settings.from_json(
            context.data_source.json_data, plugin or plugin_settings(), context.data_source.secure_json
        )
    except SettingsError as error:
        raise PluginError(str(error), status=400, source=ErrorSource.DOWNSTREAM) from None


class CeemsDataSource:
    """A CEEMS database as a data source; see `ceems_grpc.grafana.backend.datasource.DataSource`."""

    def __init__(
        self,
        settings: Settings,
        row_limit: int = _DEFAULT_ROW_LIMIT,
        *,
        uid: str = "",
        scope: Scope = "",
        store: Store | None = None,
        queue: Queue | None = None,
    ) -> None:
        """Open the sources of the settings, or use an open ``store`` and its ``queue``.

        ``uid`` labels metrics. ``scope`` names the data source in the rights to live channels: see `scope_of`.
        """
        self._settings = settings
        if store is None:
            join_budget(self, settings)
        self._store = store or create_store(settings.sources, settings.store)
        shared = SHARED_TAGS if settings.shared_tags is None else settings.shared_tags
        limits = Limits(settings.max_query_window, settings.row_limit or row_limit, shared)
        local = any(isinstance(source, FileSource) for source in settings.sources)
        self._ceems = Ceems(self._store, limits, queue=queue or (Queue() if local else Queue.elsewhere()))
        self._panels = Panels(self._ceems)
        self._api = Api(self._ceems)
        self._scope = scope
        self._live = Live(self._ceems, _LIVE_RIGHTS, scope)
        MIRRORS.watch(uid, self._store)

    async def query(self, context: PluginContext, query: DataQuery) -> Sequence[Frame]:
        """Answer one query with frames."""
        with self._failures(context), _memory_claimed(len(query.json)):
            async with asyncio.timeout(self._seconds()):
                viewer, statements = self._viewer(context, is_query=True), _is_grafana_admin(context)
                if viewer is None:
                    raise no_service_user() if context.caller is Caller.GRAFANA else no_user()
                return await self._panels.answer(viewer, query, statements=statements)

    async def call_resource(self, context: PluginContext, request: ResourceRequest) -> ResourceResponse:
        """Answer a request to the CEEMS API as the context's user; headers and parameters cannot change the user."""
        try:
            # The API counts the errors that it turns into responses.
            with failures_counted(), _memory_claimed(len(request.query)):
                async with asyncio.timeout(self._seconds()):
                    viewer = self._viewer(context)
                    response = await self._api.answer(viewer, request.method, request.path, request.query)
                    if isinstance(response.body, AsyncGenerator):
                        return replace(response, body=self._parts(context, response.body))
                    return response
        except StoreBusyError as error:
            return failure_response(error)
        except TimeoutError:
            return error_response(503, ErrorType.TIMEOUT, f"the question took longer than {self._seconds():g} s")

    async def _parts(self, context: PluginContext, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yield the parts of a body. A failure after the first part is reported too."""
        with self._failures(context):
            async with aclosing(body):
                async for part in body:
                    yield part

    async def check_health(self, context: PluginContext) -> HealthResult:
        """Open the database. Administrators get a description; others learn only whether it answers and is fresh."""
        try:
            facts = await self._ceems.facts()
        except StoreError as error:
            _log.warning("health check failed", extra={"detail": error.detail})
            message = error.detail if _is_grafana_admin(context) else str(error)
            return HealthResult(HealthStatus.ERROR, message, {"verboseMessage": message})
        now = datetime.now(UTC)
        if _is_grafana_admin(context) or await self._is_ceems_admin(context):
            result = health_result(facts, full_path=_is_grafana_admin(context), now=now)
            return replace(result, details={**result.details, "memoryLimit": BUDGET.limit})
        return brief_health_result(facts, now=now)

    async def site_zone(self, context: PluginContext) -> tzinfo:
        """Return the zone in which the site writes local times: the configured one, or one guessed from the rows."""
        with self._failures(context):
            async with self._store.read() as reader:
                return reader.zone

    async def subscribe_stream(self, context: PluginContext, request: StreamRequest) -> SubscribeResult:
        """Let the owner of a channel subscribe to it; see `ceems_grpc.panels.live`."""
        with self._failures(context):
            frame = await self._live.subscribe(self._viewer(context), request.path, request.data)
        return SubscribeResult(SubscribeStatus.OK, frame)

    async def publish_stream(self, context: PluginContext, request: StreamRequest) -> PublishResult:
        """Refuse: channels send from the database to dashboards only."""
        return PublishResult(PublishStatus.PERMISSION_DENIED)

    async def run_stream(self, context: PluginContext, request: StreamRequest) -> AsyncIterator[Frame | bytes]:
        """Yield a frame now and after each change of the database."""
        with self._failures(context):
            async for frame in self._live.run(self._viewer(context, is_run=True), request.path, request.data):
                yield frame

    async def close(self) -> None:
        """Close the database."""
        MIRRORS.forget(self._store)
        BUDGET.leave(self)
        await self._ceems.close()

    async def _is_ceems_admin(self, context: PluginContext) -> bool:
        try:
            await self._ceems.require(self._viewer(context), True)
        except (QuestionError, StoreError):
            return False
        return True

    def _viewer(self, context: PluginContext, *, is_query: bool = False, is_run: bool = False) -> Viewer | None:
        """Return the signed-in user, or the service user if Grafana itself asks.

        Grafana itself only needs queries (rules, public dashboards); settings can allow it more. ``is_run``: this is
        the run of a live channel, so the role may be outdated.
        """
        settings = self._settings
        if context.user is not None:
            viewer = Viewer(context.user.login, admin_by_role=settings.is_admin_role(context.user.role))
            if not is_run:
                _LIVE_RIGHTS.saw(self._scope, viewer)
            return viewer
        is_allowed = context.caller is Caller.GRAFANA and (is_query or settings.service_user_resources)
        return Viewer(settings.service_user) if is_allowed and settings.service_user else None

    def _seconds(self) -> float | None:
        timeout = self._settings.query_timeout
        return None if timeout is None else timeout.total_seconds()

    @contextmanager
    def _failures(self, context: PluginContext) -> Iterator[None]:
        """Turn exceptions of questions and stores into errors that Grafana shows."""
        try:
            with failures_counted():
                yield
        except TimeoutError:
            seconds = f"{self._seconds():g} s"
            message = f"The query took longer than {seconds} (queryTimeout); narrow it, or raise the setting."
            raise PluginError(message, status=504, source=ErrorSource.DOWNSTREAM) from None
        except QuestionError as error:
            raise PluginError(str(error), status=error.status, source=ErrorSource.DOWNSTREAM) from None
        except StoreError as error:
            _log.warning("the database did not answer", extra={"detail": error.detail})
            status = 503 if isinstance(error, StoreBusyError) else 500
            message = error.detail if _is_grafana_admin(context) else str(error)
            raise PluginError(message, status=status, source=ErrorSource.DOWNSTREAM) from None


@contextmanager
def _memory_claimed(asked: int) -> Iterator[None]:
    """Claim memory for a request until its answer has been sent. ``asked``: bytes of what was asked.

    The claim stays in the context of the task when the block ends, because parts of an answer can follow. Raises
    `StoreBusyError`.
    """
    claim = BUDGET.claim()
    claim.adopt()
    try:
        claim_request(asked)
        yield
    finally:
        when_sent(claim.release)


def _is_grafana_admin(context: PluginContext) -> bool:
    """Return whether the user may see paths: administrators of the organisation configure them."""
    return context.user is not None and context.user.role == "Admin"


def grafana_row_limit(context: PluginContext) -> int:
    """Return the largest number of rows that Grafana allows a database to return."""
    text = context.grafana_config.get("GF_SQL_ROW_LIMIT", "")
    return int(text) if text.isdigit() and int(text) > 0 else _DEFAULT_ROW_LIMIT
