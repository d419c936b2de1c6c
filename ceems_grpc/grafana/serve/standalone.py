"""Runs a plugin by hand, for example in a debugger, while Grafana runs on the same machine.

1. Run the plugin with ``GF_PLUGIN_GRPC_STANDALONE=true``. It listens on ``GF_PLUGIN_GRPC_ADDRESS`` (127.0.0.1:50055 if
   unset) until SIGINT or SIGTERM. It needs no host, and does not redirect standard output.
2. In grafana.ini, set ``grpc_address = 127.0.0.1:50055`` under ``[plugin.<id>]`` and restart Grafana. It passes the
   address as ``GF_PLUGIN_GRPC_ADDRESS`` to the plugin that it starts, which only points Grafana to the first one.

Grafana's Go SDK uses files for this, ``standalone.txt`` and ``pid.txt``. A crash leaves files behind, but no setting.
"""

import ipaddress
from collections.abc import Mapping

from ceems_grpc.grafana.serve.handshake import HandshakeError

_DEFAULT_ADDRESS = "127.0.0.1:50055"


def is_standalone(environment: Mapping[str, str]) -> bool:
    """Return whether the plugin is to run by itself."""
    return environment.get("GF_PLUGIN_GRPC_STANDALONE", "").lower() in {"1", "true"}


def standalone_address(environment: Mapping[str, str]) -> str:
    """Return ``host:port`` of the plugin that runs by itself, or an empty string if there is none.

    Raises ``HandshakeError`` unless it is a loopback address: whoever reaches it can claim to be any user.
    """
    address = environment.get("GF_PLUGIN_GRPC_ADDRESS", _DEFAULT_ADDRESS if is_standalone(environment) else "")
    if not address:
        return ""
    host, _, port = address.rpartition(":")
    try:
        fine = ipaddress.ip_address(host.strip("[]")).is_loopback and 0 < int(port) < 65536
    except ValueError:
        fine = False
    if not fine:
        raise HandshakeError(
            f"GF_PLUGIN_GRPC_ADDRESS must be a loopback address with a port, such as {_DEFAULT_ADDRESS}, not {address}."
        )
    return address
