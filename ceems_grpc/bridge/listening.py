"""The address on which a server listens, and whether TLS is required there."""

import ipaddress
import re
from dataclasses import dataclass

from ceems_grpc.store.remote.endpoint import is_loopback

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")


class ListenError(Exception):
    """The server cannot listen on an address. The message says what is required."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """``host`` is an IP address (IPv6 without brackets), a host name, or "" for all addresses of this host."""

    host: str
    port: int

    @classmethod
    def read(cls, text: str) -> "ListenAddress":
        """Parse HOST:PORT, with an IPv6 address in brackets. Raises `ListenError`."""
        match = _ADDRESS.fullmatch(text.strip())
        if match is None or int(match["port"]) > 65_535:
            raise ListenError(f"'{text}' is not an address to listen on: write HOST:PORT, such as 0.0.0.0:9443.")
        return cls(match["v6"] or match["host"] or "", int(match["port"]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can connect."""
        return is_loopback(self.host)

    @property
    def target(self) -> str:
        """The address in the form of gRPC."""
        host = self.host or "::"
        try:
            return f"[{host}]:{self.port}" if ipaddress.ip_address(host).version == 6 else f"{host}:{self.port}"
        except ValueError:
            return f"{host}:{self.port}"

    def at(self, port: int) -> "ListenAddress":
        """Return the address with another port: the one that was chosen for port 0."""
        return ListenAddress(self.host, port)
