"""The address of a `ceems-grpc server`, and the credentials for it."""

import ipaddress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server at ``address`` (host:port, IPv6 in brackets).

    ``server_name``: the name that its certificate must have; "" means the host of the address. ``plain_text``: no TLS,
    allowed for loopback only. ``token``, and the certificates and the key in PEM, can be "". Without ``ca_cert``, the
    authorities of the system are trusted.
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
        """The name or IP address of the host, without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port number."""
        return int(self.address.rpartition(":")[2])

    @property
    def expected_name(self) -> str:
        """The name that the certificate of the server must have."""
        return self.server_name or self.host


def is_loopback(host: str) -> bool:
    """Return whether a host name or IP address certainly means this host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
