"""Where rows come from: a file, a server on another host, or PostgreSQL."""

from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from ceems_grpc.store.remote.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class FileSource:
    """A database file. ``zone``: in which the site writes its local times; None guesses it."""

    name: str
    path: Path
    zone: ZoneInfo | None


@dataclass(frozen=True, slots=True)
class BridgeSecrets:
    """What a bridge shows and trusts: a token, and PEM texts; "" is none."""

    token: str = field(default="", repr=False)
    ca_cert: str = field(default="", repr=False)
    client_cert: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class BridgeSource:
    """A `ceems-grpc server` on another host. ``address``: host:port; ``server_name``: in its certificate ("" host)."""

    name: str
    address: str
    server_name: str
    plain_text: bool
    secrets: BridgeSecrets = field(repr=False)

    @property
    def endpoint(self) -> Endpoint:
        """Return it as connections want it."""
        own = self.secrets
        return Endpoint(
            self.address, self.server_name, self.plain_text, own.token, own.ca_cert, own.client_cert, own.client_key
        )


@dataclass(frozen=True, slots=True)
class PostgresSource:
    """A database in PostgreSQL. ``url`` has no password; ``schema`` holds the tables."""

    name: str
    url: str
    schema: str
    password: str = field(repr=False)


Source = FileSource | BridgeSource | PostgresSource
