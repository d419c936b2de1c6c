"""`ceems-grpc probe`: checks whether a server or a feeder answers. Images without a shell use it as health check."""

import argparse
import http.client
import socket
import ssl

from ceems_grpc.bridge.listening import ListenAddress, ListenError
from ceems_grpc.cli.errors import CommandError


def run(options: argparse.Namespace) -> int:
    """Return 0 if a server agrees on TLS and gRPC, or a feeder sends its metrics.

    Raises `CommandError` with a sentence if it does not within the timeout.
    """
    try:
        address = ListenAddress.read(options.address)
    except ListenError as error:
        raise CommandError(str(error)) from None
    try:
        if options.what == "server":
            _shake_hands(address, options.timeout)
        else:
            _read_metrics(address, options.timeout)
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(
            f"Nothing answers as a {options.what} at {options.address}: {error or 'no answer'}."
        ) from None
    return 0


def _shake_hands(address: ListenAddress, timeout: float) -> None:
    """Agree on TLS and HTTP/2 with a server. Its requirements for callers (tokens, certificates) are not checked."""
    context = ssl.create_default_context()
    # The probe cannot verify the certificate, but it sends no secret and trusts no answer.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((address.host, address.port), timeout) as connection,
        context.wrap_socket(connection) as secured,
    ):
        if secured.selected_alpn_protocol() != "h2":
            raise ConnectionError("it does not speak gRPC")


def _read_metrics(address: ListenAddress, timeout: float) -> None:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        if response.status != http.client.OK or b"ceems_feed_" not in response.read():
            raise ConnectionError("these are not the metrics of a feeder")
    finally:
        connection.close()
