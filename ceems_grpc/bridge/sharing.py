"""One database for all that ask: every Grafana's data source is a view of the same open store."""

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import msgspec

from ceems_grpc.datasource import CeemsDataSource, grafana_row_limit
from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.errors import ErrorSource, PluginError
from ceems_grpc.grafana.backend.relay import Relay
from ceems_grpc.settings import Settings, SettingsError
from ceems_grpc.store.create import create_store
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.runtime.admission import Queue

_log = logging.getLogger(__name__)

# What a data source in Grafana may say about itself. Where rows come from is the server's own business.
TAKEN = ("maxQueryWindow", "rowLimit", "queryTimeout", "adminRole", "serviceUser", "serviceUserResources")

_MOST_VIEWS = 64

_Key = tuple[int, str, Settings]
_Least = TypeVar("_Least", int, timedelta)


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """What the server itself was told: settings of its database, and limits that no data source can widen.

    ``roles``: whether data sources may make administrators by role; ``service_users``: whether they may name the user
    in whose name questions without a user are asked.
    """

    settings: Settings
    roles: bool = True
    service_users: bool = True

    def with_what_is_asked(self, context: PluginContext) -> Settings:
        """Return the settings that count for a request. Raises `PluginError` when it holds some that cannot be used."""
        given = context.data_source.json_data if context.data_source else b""
        try:
            asked = Settings.from_json(_taken(given))
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
    """Gives each data source a view of the one store; see `ceems_grpc.grafana.serve.instances.Instances`.

    Data sources are told apart by organization, uid and the settings themselves: two Grafanas may use the same uid.
    Views have nothing to close, so those that were not used for long are forgotten.
    """

    def __init__(self, own: ServerPolicy) -> None:
        """Open the store. Must be called within the event loop in which it is used."""
        self._own = own
        self.store: Store = create_store(own.settings.sources, own.settings.store)
        self.queue = Queue()
        self._views: OrderedDict[_Key, CeemsDataSource] = OrderedDict()

    @asynccontextmanager
    async def get(self, context: PluginContext) -> AsyncIterator[CeemsDataSource]:
        """Give the view for a request. Raises `PluginError` when its settings cannot be used."""
        settings = self._own.with_what_is_asked(context)
        key = (context.org_id, context.data_source.uid if context.data_source else "", settings)
        view = self._views.pop(key, None) or CeemsDataSource(settings, store=self.store, queue=self.queue)
        self._views[key] = view
        while len(self._views) > _MOST_VIEWS:
            self._views.popitem(last=False)
        yield view

    lease = get

    def relays(self) -> list[Relay]:
        """Return none: questions are answered here."""
        return []

    async def look(self) -> None:
        """Tell in the log what the database is; the server may start before there is one."""
        try:
            facts = await self.store.facts()
        except StoreError as error:
            _log.warning("the database cannot be read yet: %s", error.detail)
            return
        _log.info("database", extra={"path": facts.location, "units": facts.units, "timezone": facts.zone})

    async def close(self) -> None:
        """Close the store."""
        self._views.clear()
        await self.store.close()


def _taken(json_data: bytes) -> bytes:
    given = msgspec.json.decode(json_data or b"{}", type=dict[str, msgspec.Raw])
    # Settings must name some database; which one is not looked at.
    kept = {key: msgspec.json.decode(given[key]) for key in TAKEN if key in given}
    return msgspec.json.encode({**kept, "path": "/"})


def _least(own: _Least | None, asked: _Least | None) -> _Least | None:
    given = [limit for limit in (own, asked) if limit is not None]
    return min(given) if given else None
