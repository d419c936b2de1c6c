"""HTTP-like requests to a data source, which Grafana passes on from the browser."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from ceems_grpc.pb import pluginv2_pb2 as pb


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """A request. ``url`` is the path with its query string. Trust no header: the browser may forge them."""

    path: str
    method: str = "GET"
    url: str = ""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    body: bytes = b""

    @classmethod
    def from_proto(cls, message: pb.CallResourceRequest) -> Self:
        """Read the wire message."""
        return cls(
            path=message.path,
            method=message.method,
            url=message.url,
            headers={name: tuple(value.values) for name, value in message.headers.items()},
            body=message.body,
        )

    @property
    def query(self) -> str:
        """The raw query string: what follows the first question mark of the URL, without a fragment."""
        return self.url.partition("#")[0].partition("?")[2]

    def header(self, name: str, default: str = "") -> str:
        """First value of a header, whatever the case of its name."""
        wanted = name.lower()
        return next((values[0] for key, values in self.headers.items() if key.lower() == wanted and values), default)


@dataclass(frozen=True, slots=True)
class ResourceResponse:
    """An answer. If the body is an iterator, each piece is sent as soon as it is ready."""

    status: int = 200
    headers: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = b""
