"""What a plugin has to offer: one object per configured data source."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.diagnostics import HealthResult
from ceems_grpc.grafana.backend.query import DataQuery
from ceems_grpc.grafana.backend.resource import ResourceRequest, ResourceResponse
from ceems_grpc.grafana.backend.stream import PublishResult, StreamRequest, SubscribeResult

if TYPE_CHECKING:
    from ceems_grpc.grafana.backend.relay import Relay
    from ceems_grpc.grafana.data.frame import Frame


class DataSource(Protocol):
    """One configured data source. Every method may run many times at once and is cancelled when its asker leaves.

    A ``PluginError`` is shown to the user; any other exception counts as a bug and only its request id is shown.
    """

    async def query(self, context: PluginContext, query: DataQuery) -> "Sequence[Frame]":
        """Answer one query. A request with several queries calls this once for each, side by side."""
        ...

    async def call_resource(self, context: PluginContext, request: ResourceRequest) -> ResourceResponse:
        """Answer an HTTP-like request; a ``PluginError`` becomes its status with ``{"message": ...}``."""
        ...

    async def check_health(self, context: PluginContext) -> HealthResult:
        """Say whether the data source works as configured."""
        ...

    async def subscribe_stream(self, context: PluginContext, request: StreamRequest) -> SubscribeResult:
        """Say whether this user may listen to a channel."""
        ...

    async def publish_stream(self, context: PluginContext, request: StreamRequest) -> PublishResult:
        """Say whether this user may send into a channel, and what its listeners get."""
        ...

    def run_stream(self, context: PluginContext, request: StreamRequest) -> "AsyncIterator[Frame | bytes]":
        """Yield what a channel's listeners get, frames or JSON, for as long as there are any."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. Called once, after the last call has ended."""
        ...


Factory: TypeAlias = Callable[[PluginContext], Awaitable["DataSource | Relay"]]
"""Makes the object for the settings in the context. It may raise ``PluginError`` when these are wrong."""
