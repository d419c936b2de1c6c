"""Shares one open store among the data sources of all Grafanas: each data source is a view of it."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import msgspec

from ceems_grpc.datasource import CeemsDataSource, grafana_row_limit, join_budget, scope_of
from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.errors import ErrorSource, PluginError
from ceems_grpc.grafana.backend.relay import Relay
from ceems_grpc.settings import Settings, SettingsError
from ceems_grpc.store.create import create_store
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.runtime.admission import Queue
from ceems_grpc.store.runtime.memory_budget import BUDGET

_log = logging.getLogger(__name__)

# The settings that a data source in Grafana may give. The server decides where rows come from.
DATA_SOURCE_KEYS = (
    "maxQueryWindow",
    "rowLimit",
    "queryTimeout",
    "adminRole",
    "serviceUser",
    "serviceUserResources",
    "sharedTags",
)

_MOST_VIEWS = 64

_Key = tuple[int, str, Settings]
_Least = TypeVar("_Least", int, timedelta)


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """The settings of the server: its database, and limits that no data source can extend.

    ``roles``: whether data sources may make users administrators by their role in Grafana. ``service_users``: whether
    data sources may name a service user, in whose name questions without a user are asked.
    """

    settings: Settings
    roles: bool = True
    service_users: bool = True

    def settings_for(self, context: PluginContext) -> Settings:
        """Return the settings that apply to a request. Raises `PluginError` if those of its data source are wrong."""
        given = context.data_source.json_data if context.data_source else b""
        try:
            asked = Settings.from_json(_allowed(given))
        except (SettingsError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise PluginError(str(error), status=400, source=ErrorSource.DOWNSTREAM) from None
        own = self.settings
        return replace(
            own,
            max_query_window=_least(own.max_query_window, asked.max_query_window),
            row_limit=_least(own.row_limit, asked.row_limit or grafana_row_limit(context)),
            query_timeout=_least(own.query_timeout, asked.query_timeout),
            admin_role=asked.admin_role if self.roles else "",
            service_user=asked.service_user if self.service_users else "",
            service_user_resources=asked.service_user_resources and self.service_users,
        )


class SharedDatabase:
    """Provides each data source with a view of the store; see `ceems_grpc.grafana.serve.instances.Instances`.

    The key of a view is the organization, the uid and the settings, because two Grafanas can use the same uid. Views
    have nothing to close, so the least recently used ones are dropped.
    """

    def __init__(self, own: ServerPolicy) -> None:
        """Open the store. Call it in the event loop in which the store is used."""
        self._own = own
        join_budget(self, own.settings)
        self.store: Store = create_store(own.settings.sources, own.settings.store)
        self.queue = Queue()
        self._views: OrderedDict[_Key, CeemsDataSource] = OrderedDict()

    @asynccontextmanager
    async def get(self, context: PluginContext) -> AsyncIterator[CeemsDataSource]:
        """Provide the view for a request. Raises `PluginError` if its settings are wrong."""
        settings = self._own.settings_for(context)
        key = (context.org_id, context.data_source.uid if context.data_source else "", settings)
        view = self._views.pop(key, None) or CeemsDataSource(
            settings, scope=scope_of(context), store=self.store, queue=self.queue
        )
        self._views[key] = view
        while len(self._views) > _MOST_VIEWS:
            self._views.popitem(last=False)
        yield view

    lease = get

    def retirement(self, context: PluginContext) -> asyncio.Event:
        """Return an event that is never set: the plugin that asks ends its runs itself."""
        return asyncio.Event()

    def relays(self) -> list[Relay]:
        """Return no relays, because questions are answered here."""
        return []

    async def log_facts(self) -> None:
        """Log a description of the database. The server can start before the database exists."""
        try:
            facts = await self.store.facts()
        except StoreError as error:
            _log.warning("the database cannot be read yet: %s", error.detail)
            return
        _log.info("database", extra={"path": facts.location, "units": facts.units, "timezone": facts.zone})

    async def close(self) -> None:
        """Close the store."""
        self._views.clear()
        BUDGET.leave(self)
        await self.store.close()


def _allowed(json_data: bytes) -> bytes:
    given = msgspec.json.decode(json_data or b"{}", type=dict[str, msgspec.Raw])
    # Settings must name a database. This path is not used.
    kept = {key: msgspec.json.decode(given[key]) for key in DATA_SOURCE_KEYS if key in given}
    return msgspec.json.encode({**kept, "path": "/"})


def _least(own: _Least | None, asked: _Least | None) -> _Least | None:
    given = [limit for limit in (own, asked) if limit is not None]
    return min(given) if given else None
