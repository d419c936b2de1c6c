"""What a plugin has to offer: one object per configured data source."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.diagnostics import HealthResult
from ceems_grpc.grafana.backend.errors import ErrorSource, PluginError
from ceems_grpc.grafana.backend.query import DataQuery
from ceems_grpc.grafana.backend.resource import ResourceRequest, ResourceResponse
from ceems_grpc.grafana.backend.stream import (
    PublishResult,
    PublishStatus,
    StreamRequest,
    SubscribeResult,
    SubscribeStatus,
)

if TYPE_CHECKING:
    from ceems_grpc.grafana.backend.relay import Relay
    from ceems_grpc.grafana.data.frame import Frame


class DataSource(Protocol):
    """One configured data source. A subclass must have `query` and `check_health`; the rest has defaults.

    Every method may run many times at once, and is cancelled when its caller leaves. A `PluginError` is shown to the
    user. Any other exception counts as a bug: the log gets it, and the user sees only the request id.
    """

    @abstractmethod
    async def query(self, context: PluginContext, query: DataQuery) -> "Sequence[Frame]":
        """Answer one query. A request with several queries calls this once for each, at the same time."""
        ...

    @abstractmethod
    async def check_health(self, context: PluginContext) -> HealthResult:
        """Check whether the data source works as configured; "Save & test" shows the result."""
        ...

    async def call_resource(self, context: PluginContext, request: ResourceRequest) -> ResourceResponse:
        """Answer an HTTP-like request. A `PluginError` is answered with its status and ``{"message": ...}``.

        By default every path is answered with 404.
        """
        raise PluginError("This data source has no such resource.", status=404, source=ErrorSource.DOWNSTREAM)

    async def subscribe_stream(self, context: PluginContext, request: StreamRequest) -> SubscribeResult:
        """Decide whether this user may listen to a channel. By default there are no channels."""
        return SubscribeResult(SubscribeStatus.NOT_FOUND)

    async def publish_stream(self, context: PluginContext, request: StreamRequest) -> PublishResult:
        """Decide whether this user may send to a channel, and what its listeners get. By default there are none."""
        return PublishResult(PublishStatus.NOT_FOUND)

    async def run_stream(self, context: PluginContext, request: StreamRequest) -> "AsyncIterator[Frame | bytes]":
        """Yield frames or JSON for the listeners of a channel. An async generator; by default it yields nothing."""
        return
        yield b""

    async def close(self) -> None:
        """Release files and connections. Called once, after the last call has ended."""
        return


Factory: TypeAlias = Callable[[PluginContext], Awaitable["DataSource | Relay"]]
"""Makes the object for the settings in the context. It raises `PluginError` if these are wrong."""
