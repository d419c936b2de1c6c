"""Creates a data source that answers by itself or forwards requests to another host."""

from typing import TYPE_CHECKING

from ceems_grpc.datasource import CeemsDataSource, create_local_datasource, read_settings
from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.settings import PluginSettings
from ceems_grpc.store.sources import BridgeSource

if TYPE_CHECKING:
    from ceems_grpc.bridge.relay import BridgeRelay


async def create_datasource(
    context: PluginContext, plugin: PluginSettings | None = None
) -> "CeemsDataSource | BridgeRelay":
    """Create the data source that the settings describe. Raises `PluginError` if the settings are wrong."""
    source = read_settings(context, plugin).sources[0]
    if isinstance(source, BridgeSource) and not source.name:
        from ceems_grpc.bridge.relay import BridgeRelay  # noqa: PLC0415 - its TLS libraries take time to load

        return BridgeRelay(source.endpoint)
    return await create_local_datasource(context, plugin)
