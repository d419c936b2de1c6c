"""One configured data source: its settings, its store, and the two faces of its questions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ceems_grpc.ceems.errors import ErrorType, QuestionError
from ceems_grpc.ceems.questions import Viewer
from ceems_grpc.ceems.service import Ceems, Limits
from ceems_grpc.faces.api import Api, error_response
from ceems_grpc.faces.live import Live
from ceems_grpc.faces.panels import Panels
from ceems_grpc.plugin.context import PluginContext
from ceems_grpc.plugin.diagnostics import HealthResult, HealthStatus
from ceems_grpc.plugin.errors import ErrorSource, PluginError
from ceems_grpc.plugin.frame import Frame
from ceems_grpc.plugin.query import DataQuery
from ceems_grpc.plugin.resource import ResourceRequest, ResourceResponse
from ceems_grpc.plugin.stream import (
    PublishResult,
    PublishStatus,
    StreamRequest,
    SubscribeResult,
    SubscribeStatus,
)
from ceems_grpc.settings import PluginSettings, Settings, SettingsError, plugin_settings
from ceems_grpc.store.base import Facts, Store
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.sqlite import SqliteStore

_log = logging.getLogger(__name__)

_DEFAULT_ROW_LIMIT = 1_000_000
_STALE = timedelta(hours=1)
_MIRROR_FROM = 32 * 1024 * 1024  # bytes; smaller databases answer fast enough by themselves


async def open_datasource(context: PluginContext, plugin: PluginSettings | None = None) -> "CeemsDataSource":
    """Make the data source that the context's settings describe; wrong settings are a `PluginError`."""
    if context.data_source is None:
        raise PluginError("No data source is named in the request.", status=400)
    try:
        settings = Settings.from_json(context.data_source.json_data, plugin or plugin_settings())
    except SettingsError as error:
        raise PluginError(str(error), status=400, source=ErrorSource.DOWNSTREAM) from None
    return CeemsDataSource(settings, _grafana_row_limit(context))


class CeemsDataSource:
    """A CEEMS database, asked through Grafana; see `ceems_grpc.plugin.datasource.DataSource`."""

    def __init__(self, settings: Settings, row_limit: int = _DEFAULT_ROW_LIMIT) -> None:
        self._settings = settings
        self._store = _open_store(settings)
        limits = Limits(settings.max_query_window, settings.row_limit or row_limit)
        self._ceems = Ceems(self._store, limits)
        self._panels = Panels(self._ceems)
        self._api = Api(self._ceems)
        self._live = Live(self._ceems)

    async def query(self, context: PluginContext, query: DataQuery) -> Sequence[Frame]:
        """Answer one query with frames."""
        with self._failures(context):
            async with asyncio.timeout(self._seconds()):
                return await self._panels.answer(self._viewer(context), query)

    async def call_resource(self, context: PluginContext, request: ResourceRequest) -> ResourceResponse:
        """Answer a request to the CEEMS API. Who asks is the context's user; headers and parameters change nothing."""
        try:
            async with asyncio.timeout(self._seconds()):
                return await self._api.answer(self._viewer(context), request.method, request.path, request.query)
        except TimeoutError:
            return error_response(503, ErrorType.TIMEOUT, f"the question took longer than {self._seconds():g} s")

    async def check_health(self, context: PluginContext) -> HealthResult:
        """Open the database and say what it holds."""
        try:
            facts = await self._store.facts()
        except StoreError as error:
            _log.warning("health check failed", extra={"detail": error.detail})
            message = error.detail if _is_grafana_admin(context) else str(error)
            return HealthResult(HealthStatus.ERROR, message, {"verboseMessage": message})
        return _healthy(facts, full_path=_is_grafana_admin(context), now=datetime.now(UTC))

    async def subscribe_stream(self, context: PluginContext, request: StreamRequest) -> SubscribeResult:
        """Let the channel's owner listen; see `ceems_grpc.faces.live`."""
        with self._failures(context):
            frame = await self._live.subscribe(self._viewer(context), request.path, request.data)
        return SubscribeResult(SubscribeStatus.OK, frame)

    async def publish_stream(self, context: PluginContext, request: StreamRequest) -> PublishResult:
        """Nobody may send: channels go from the database to dashboards."""
        return PublishResult(PublishStatus.PERMISSION_DENIED)

    async def run_stream(self, context: PluginContext, request: StreamRequest) -> AsyncIterator[Frame | bytes]:
        """Yield a frame now and after each change of the database."""
        with self._failures(context):
            async for frame in self._live.run(self._viewer(context), request.path, request.data):
                yield frame

    async def close(self) -> None:
        """Close the database."""
        await self._ceems.close()

    def _viewer(self, context: PluginContext) -> Viewer | None:
        user = context.user
        if user is None:
            return Viewer(self._settings.service_user) if self._settings.service_user else None
        return Viewer(user.login, admin_by_role=self._settings.is_admin_role(user.role))

    def _seconds(self) -> float | None:
        timeout = self._settings.query_timeout
        return None if timeout is None else timeout.total_seconds()

    @contextmanager
    def _failures(self, context: PluginContext) -> Iterator[None]:
        """Turn what questions and stores raise into errors that Grafana shows."""
        try:
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


def _open_store(settings: Settings) -> Store:
    live = SqliteStore(settings.path, zone=settings.zone)
    if settings.mirror_mode == "off":
        return live
    from ceems_grpc.store.follow import MirrorSettings  # noqa: PLC0415 - the mirror's engine takes time to load
    from ceems_grpc.store.mirror import MirroredStore  # noqa: PLC0415

    if settings.mirror_mode == "memory":
        return MirroredStore(live, replace(MirrorSettings.in_memory(), least=_MIRROR_FROM))
    if settings.mirror_folder is not None:
        return MirroredStore(live, MirrorSettings(folders=(settings.mirror_folder,), least=_MIRROR_FROM))
    return MirroredStore(live, MirrorSettings(least=_MIRROR_FROM))


def _is_grafana_admin(context: PluginContext) -> bool:
    """Tell whether the user may see paths: who administers the organisation configured them."""
    return context.user is not None and context.user.role == "Admin"


def _grafana_row_limit(context: PluginContext) -> int:
    text = context.grafana_config.get("GF_SQL_ROW_LIMIT", "")
    return int(text) if text.isdigit() and int(text) > 0 else _DEFAULT_ROW_LIMIT


def _healthy(facts: Facts, *, full_path: bool, now: datetime) -> HealthResult:
    name = facts.location if full_path else facts.location.rpartition("/")[2]
    clusters = ", ".join(f"{cluster} ({manager})" for cluster, manager in facts.clusters)
    parts = [
        f"{name}: CEEMS database, schema version {facts.schema_version or 'unknown'}",
        f"{facts.units} units on {len(facts.clusters)} clusters",
        f"time zone {facts.zone}{' (guessed)' if facts.zone_guessed else ''}",
    ]
    warnings = []
    if facts.newest_update is None:
        warnings.append("it holds no units yet")
    else:
        parts.append(f"newest update {facts.newest_update:%Y-%m-%d %H:%M} UTC")
        age = now - facts.newest_update
        if age > _STALE:
            warnings.append(f"the data are {_ago(age)} old (check that ceems_api_server runs, and the time zone)")
    if facts.missing_tables:
        missing = ", ".join(facts.missing_tables)
        warnings.append(f"it was made by an older version of CEEMS and has no {missing}: some questions get errors")
    message = "; ".join(parts) + "."
    if warnings:
        message += " Warning: " + "; ".join(warnings) + "."
    details = {
        "verboseMessage": f"{message} Clusters: {clusters or 'none'}.",
        "schemaVersion": facts.schema_version,
        "units": facts.units,
        "clusters": [{"id": cluster, "manager": manager} for cluster, manager in facts.clusters],
        "newestUpdate": facts.newest_update.isoformat() if facts.newest_update else None,
        "timezone": facts.zone,
        "mirror": facts.mirror,
        "warnings": warnings,
    }
    return HealthResult(HealthStatus.OK, message, details)


def _ago(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
