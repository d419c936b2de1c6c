"""Live data source objects: one for each configured data source, replaced when its settings change."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from ceems_grpc.grafana.backend.context import DataSourceSettings, PluginContext
from ceems_grpc.grafana.backend.datasource import DataSource, Factory
from ceems_grpc.grafana.backend.errors import PluginError
from ceems_grpc.grafana.backend.relay import Relay

_log = logging.getLogger(__name__)

_Key = tuple[int, str]
_Settings = DataSourceSettings | None


class Instances(Protocol):
    """Where services get the data source that a request is for."""

    def get(self, context: PluginContext) -> AbstractAsyncContextManager[DataSource]:
        """Lease the data source for the context's settings. Raises the error that creating it raised."""
        ...

    def lease(self, context: PluginContext) -> AbstractAsyncContextManager[object]:
        """Lease the data source or relay for the context's settings. Raises the error that creating it raised."""
        ...

    def retirement(self, context: PluginContext) -> asyncio.Event:
        """Return the event that is set when the object for the context's settings is replaced or no longer used."""
        ...

    def relays(self) -> list[Relay]:
        """Return the open relays."""
        ...


class _Instance:
    """A data source object being built or in use, with the count of calls in flight on it."""

    def __init__(self, settings: _Settings, build: "asyncio.Task[DataSource | Relay]") -> None:
        self.settings = settings
        self.build = build
        self.leases = 0
        self.made = time.monotonic()
        self.used = time.monotonic()
        self.idle = asyncio.Event()
        self.idle.set()
        self.retired = asyncio.Event()

    def lease(self) -> None:
        self.leases += 1
        self.idle.clear()

    def release(self) -> None:
        self.leases -= 1
        self.used = time.monotonic()
        if not self.leases:
            self.idle.set()


class InstanceManager:
    """Keeps one live object per organization, data source and version of its settings.

    An object whose settings have changed is closed when its last call has ended. An object that nobody has used for
    ``idle`` seconds, for example because its data source was deleted, is closed at the next call on any object. For
    ``late`` seconds after an object is made, requests with older settings get that object: they were under way when the
    settings were saved. Later, older settings mean that Grafana's clock was ahead when the others were saved, and they
    replace the object. Use it from one event loop.
    """

    def __init__(self, factory: Factory, *, idle: float = 3600.0, late: float = 60.0) -> None:
        self._factory = factory
        self._late = late
        self._idle = idle
        self._instances: dict[_Key, _Instance] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    @asynccontextmanager
    async def get(self, context: PluginContext) -> AsyncIterator[DataSource]:
        """Lease the data source for the context's settings, as `lease` does. Raises `PluginError` for a `Relay`."""
        async with self.lease(context) as datasource:
            if isinstance(datasource, Relay):  # The settings were changed to this while the request was under way.
                raise PluginError("The settings of the data source have just changed: ask again.", status=503)
            yield datasource

    @asynccontextmanager
    async def lease(self, context: PluginContext) -> AsyncIterator[DataSource | Relay]:
        """Lease the object for the context's settings; it is not closed before the lease ends.

        Callers at the same time share one object. Raises the error of the factory; the next call tries again.
        """
        instance = self._instance(context)
        instance.lease()
        try:
            # A caller that leaves must not cancel the object that others wait for.
            yield await asyncio.shield(instance.build)
        finally:
            instance.release()

    def retirement(self, context: PluginContext) -> asyncio.Event:
        """Return the event that is set when the object for the context's settings is replaced or closed.

        Calls that last, such as live channels, end then: the object is closed once its last call has ended.
        """
        return self._instance(context).retired

    def relays(self) -> list[Relay]:
        """Return the open relays."""
        builds = [instance.build for instance in self._instances.values() if instance.build.done()]
        made = [build.result() for build in builds if not build.cancelled() and build.exception() is None]
        return [datasource for datasource in made if isinstance(datasource, Relay)]

    async def close(self) -> None:
        """Close all objects, waiting for the calls in flight on them. Later leases are refused."""
        self._closed = True
        for key in list(self._instances):
            self._retire(key)
        await asyncio.gather(*self._closing)

    def _instance(self, context: PluginContext) -> _Instance:
        if self._closed:
            raise RuntimeError("The plugin is stopping and takes no more requests.")
        settings = context.data_source
        key = (context.org_id, context.data_source.uid if context.data_source else "")
        self._retire_idle(key)
        current = self._instances.get(key)
        if current is not None:
            under_way = time.monotonic() - current.made <= self._late and _is_older(settings, current.settings)
            if current.settings == settings or under_way:
                return current
            self._retire(key)
        instance = _Instance(settings, asyncio.create_task(self._build(context)))
        instance.build.add_done_callback(lambda build: self._forget_failed(key, instance, build))
        self._instances[key] = instance
        return instance

    async def _build(self, context: PluginContext) -> DataSource | Relay:
        return await self._factory(context)

    def _forget_failed(self, key: _Key, instance: _Instance, build: "asyncio.Task[DataSource | Relay]") -> None:
        # Reading the exception also stops asyncio from logging it when every caller has left.
        if (build.cancelled() or build.exception() is not None) and self._instances.get(key) is instance:
            del self._instances[key]

    def _retire_idle(self, wanted: _Key) -> None:
        before = time.monotonic() - self._idle
        for key, instance in list(self._instances.items()):
            if key != wanted and not instance.leases and instance.used <= before:
                self._retire(key)

    def _retire(self, key: _Key) -> None:
        instance = self._instances.pop(key)
        instance.retired.set()
        closing = asyncio.create_task(_close(instance))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _is_older(settings: _Settings, than: _Settings) -> bool:
    """Return whether a request was under way when newer settings were saved: it must not bring the old object back."""
    return settings is not None and than is not None and settings.updated < than.updated


async def _close(instance: _Instance) -> None:
    await instance.idle.wait()
    await asyncio.wait([instance.build])
    if instance.build.cancelled() or instance.build.exception() is not None:
        return
    try:
        await instance.build.result().close()
    except Exception:
        _log.exception("closing a data source failed")
