"""Where a `ceems-grpc server` is, and what is needed to be let in."""

import ipaddress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server at ``address`` (host:port, IPv6 in brackets).

    ``server_name`` is the name that its certificate must have ("" the host of the address). ``plain_text`` is without
    TLS, for loopback only. ``token``, and certificates and key in PEM, may be ""; without ``ca_cert`` the authorities
    that the system knows are trusted.
    """

    address: str
    server_name: str = ""
    plain_text: bool = False
    token: str = field(default="", repr=False)
    ca_cert: str = field(default="", repr=False)
    client_cert: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Name or number of the host, without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Number of the port."""
        return int(self.address.rpartition(":")[2])

    @property
    def expected_name(self) -> str:
        """The name that is looked for in the server's certificate."""
        return self.server_name or self.host


def is_loopback(host: str) -> bool:
    """Tell whether a host, by name or number, is this one without doubt."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
