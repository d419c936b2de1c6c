"""What host and plugin agree on before they speak gRPC: environment variables in, one line on standard output out.

The rules are those of HashiCorp's go-plugin 1.x and of Grafana's plugin SDK.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CORE_PROTOCOL = 1
GRAFANA_PROTOCOL = 2
_COOKIE_NAME, _COOKIE_VALUE = "grafana_plugin_type", "datasource"


class HandshakeError(Exception):
    """The plugin cannot start, or not with this host; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the host asks for.

    ``socket_folder`` is the folder for the socket, None for a private folder. ``socket_group`` (name or number) may
    connect as well. A ``client_certificate`` (PEM) asks for mutual TLS.
    """

    socket_folder: Path | None = None
    socket_group: str = ""
    client_certificate: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, name: str) -> Self:
        """Read what the host asks for. Raises ``HandshakeError`` without a host, or if no protocol version fits."""
        if environment.get(_COOKIE_NAME) != _COOKIE_VALUE:
            raise HandshakeError(
                f"{name} is a data source plugin for Grafana. Grafana starts it; it is of no use by itself.\n"
                "To install it, unpack the plugin's zip file into Grafana's plugin folder (grafana.ini: [paths]\n"
                "plugins, usually /var/lib/grafana/plugins) and restart Grafana. A plugin without a signature must\n"
                "also be named in [plugins] allow_loading_unsigned_plugins."
            )
        versions = environment.get("PLUGIN_PROTOCOL_VERSIONS", "")
        # An old host names no versions; it reads ours from the handshake line.
        if versions and str(GRAFANA_PROTOCOL) not in (version.strip() for version in versions.split(",")):
            raise HandshakeError(
                f"{name} speaks version {GRAFANA_PROTOCOL} of Grafana's plugin protocol, but this host offers only: "
                f"{versions}. Use a Grafana and a plugin that fit each other."
            )
        folder = environment.get("PLUGIN_UNIX_SOCKET_DIR")
        return cls(
            socket_folder=Path(folder) if folder else None,
            socket_group=environment.get("PLUGIN_UNIX_SOCKET_GROUP", ""),
            client_certificate=environment.get("PLUGIN_CLIENT_CERT", ""),
        )


def handshake_line(network: str, address: str, certificate: bytes = b"") -> bytes:
    """Write the line for a server at ``address``. ``certificate`` is the server's own in DER, for mutual TLS.

    A seventh part would offer several services on one broker connection (PLUGIN_MULTIPLEX_GRPC). This plugin does not.
    """
    encoded = base64.b64encode(certificate).rstrip(b"=").decode()
    return f"{CORE_PROTOCOL}|{GRAFANA_PROTOCOL}|{network}|{address}|grpc|{encoded}\n".encode()
