"""Where a server listens, and whether it may do so without TLS."""

import ipaddress
import re
from dataclasses import dataclass

from ceems_grpc.store.remote.endpoint import is_loopback

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")


class ListenError(Exception):
    """An address cannot be listened on; the message says what is wanted."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """``host`` is a number (IPv6 without brackets), a name, or "" for all addresses of the machine."""

    host: str
    port: int

    @classmethod
    def read(cls, text: str) -> "ListenAddress":
        """Read HOST:PORT; an IPv6 address is in brackets. Raises `ListenError`."""
        match = _ADDRESS.fullmatch(text.strip())
        if match is None or int(match["port"]) > 65_535:
            raise ListenError(f"'{text}' is no address to listen on: write HOST:PORT, such as 0.0.0.0:9443.")
        return cls(match["v6"] or match["host"] or "", int(match["port"]))

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can connect."""
        return is_loopback(self.host)

    @property
    def target(self) -> str:
        """The address as gRPC writes it."""
        host = self.host or "::"
        try:
            return f"[{host}]:{self.port}" if ipaddress.ip_address(host).version == 6 else f"{host}:{self.port}"
        except ValueError:
            return f"{host}:{self.port}"

    def at(self, port: int) -> "ListenAddress":
        """Return the same host with the port that was given where any was wanted (0)."""
        return ListenAddress(self.host, port)
