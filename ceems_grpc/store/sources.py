"""The kinds of sources: a file, a server on another host, and PostgreSQL."""

from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from ceems_grpc.store.remote.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class FileSource:
    """A database file. ``zone``: the zone in which the site writes its local times; None guesses it."""

    name: str
    path: Path
    zone: ZoneInfo | None


@dataclass(frozen=True, slots=True)
class BridgeSecrets:
    """The credentials and trusted authority of a bridge: a token, and PEM texts. "" means none."""

    token: str = field(default="", repr=False)
    ca_cert: str = field(default="", repr=False)
    client_cert: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class BridgeSource:
    """A `ceems-grpc server` on another host.

    ``address``: host:port. ``server_name``: the name in its certificate; "" means the host of the address.
    """

    name: str
    address: str
    server_name: str
    plain_text: bool
    secrets: BridgeSecrets = field(repr=False)

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint for a connection."""
        own = self.secrets
        return Endpoint(
            self.address, self.server_name, self.plain_text, own.token, own.ca_cert, own.client_cert, own.client_key
        )


@dataclass(frozen=True, slots=True)
class PostgresSource:
    """A database in PostgreSQL. ``url``: without a password. ``schema``: the schema with the tables."""

    name: str
    url: str
    schema: str
    password: str = field(repr=False)


Source = FileSource | BridgeSource | PostgresSource
