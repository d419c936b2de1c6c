"""Data sources that run in another process: their requests are passed on, and the answers come back unchanged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import grpc
    from google.protobuf.descriptor import MethodDescriptor
    from prometheus_client import Metric


class PassedStatusError(Exception):
    """The other process ended a call with a gRPC status. The caller gets the same status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class RelayedCall:
    """A call to pass on.

    ``request`` is the protobuf message of ``method``. ``timeout`` is the time left in seconds, None without a limit.
    ``metadata`` is the gRPC metadata to send with the call.
    """

    method: MethodDescriptor
    request: Any
    timeout: float | None
    metadata: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        """The method's name as gRPC writes it."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


@runtime_checkable
class Relay(Protocol):
    """Takes the place of a `DataSource`. Its methods run many times at once and may be cancelled."""

    def pass_on(self, call: RelayedCall) -> AsyncGenerator[bytes, None]:
        """Yield the serialized answers: exactly one if the method does not stream.

        Raises `PluginError` when the other process cannot be asked, and `PassedStatusError` when it refuses the call.
        Closing the generator early ends the call there.
        """
        ...

    async def metrics(self) -> Sequence[Metric]:
        """Return the other process's metrics, labelled so that they differ from ours; nothing if it does not answer."""
        ...

    async def close(self) -> None:
        """Close the connections. Called once, after the last call has ended."""
        ...
