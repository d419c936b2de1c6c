"""Mutual TLS as go-plugin does it: each side has a certificate for this process only, and knows the other's.

The host's certificate is in the environment; ours is in the handshake line. TLS ends here, in front of the gRPC server,
because go-plugin's certificates have P-521 keys, which the TLS of gRPC's C library refuses.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ceems_grpc.grafana.serve.handshake import HandshakeError

_HOST_NAME = "localhost"  # go-plugin's hosts expect this name
_LIFE = timedelta(days=365 * 30)
_CLOCK_ERROR = timedelta(minutes=5)
_READ_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


class Identity:
    """A new key and a self-signed certificate for it. ``certificate`` is in DER."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _HOST_NAME)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_ERROR)
            .not_valid_after(now + _LIFE)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(_HOST_NAME)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.DER)
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@contextlib.asynccontextmanager
async def tls_front(listener: socket.socket, server: Path, identity: Identity, client_pem: str) -> AsyncIterator[None]:
    """Accept TLS connections on ``listener`` and pass their content to the server's unix socket.

    Only a client with exactly the certificate in ``client_pem`` is let through. Raises ``HandshakeError`` if
    ``client_pem`` has no certificate.
    """
    try:
        wanted = ssl.PEM_cert_to_DER_cert(client_pem.strip())
        context = _tls_context(identity, wanted)
    except (ValueError, ssl.SSLError) as error:
        raise HandshakeError(f"PLUGIN_CLIENT_CERT holds no certificate in PEM: {error}") from error
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 asyncio runs this as a task
        connections.add(task)
        task.add_done_callback(connections.discard)
        # The chain has been verified, but a certificate signed with the host's key would pass that, too.
        if writer.get_extra_info("ssl_object").getpeercert(binary_form=True) == wanted:
            await _relay(reader, writer, server)
        else:
            _log.warning("refused a client with a certificate that is not the host's")
            writer.transport.abort()

    front = await asyncio.start_unix_server(connected, sock=listener, ssl=context)
    try:
        yield
    finally:
        front.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def _tls_context(identity: Identity, client: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=client)
    context.set_alpn_protocols(["h2"])
    # The ssl module reads a key from a file only. Nobody else can read this one, and it is removed at once.
    try:
        with tempfile.NamedTemporaryFile(prefix="grafana-plugin-") as file:
            file.write(identity.key_pem + identity.certificate_pem)
            file.flush()
            context.load_cert_chain(file.name)
    except OSError as error:
        raise HandshakeError(f"The plugin cannot write to the temporary folder: {error.strerror or error}.") from error
    return context


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Path) -> None:
    inner_reader, inner_writer = await asyncio.open_unix_connection(str(server))
    pumps = [asyncio.create_task(_pump(reader, inner_writer)), asyncio.create_task(_pump(inner_reader, writer))]
    try:
        # HTTP/2 cannot use a connection that is open in one direction only.
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)
        inner_writer.transport.abort()
        writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # The other end is gone: the connection ends as at the end of data.
        while data := await source.read(_READ_BYTES):
            sink.write(data)
            await sink.drain()
