"""Mutual TLS between host and plugin."""

import asyncio
import ssl
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ceems_grpc.grafana.serve.tls import Identity
from tests.support.plugin.process import ECHO, ENVIRONMENT, Asker, Handshake, running, spawn, start_call

HTTP2_START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


async def greet(handshake: Handshake, certificate: bytes | None, key: bytes | None, folder: Path) -> bytes:
    """Open TLS and HTTP/2 by hand; return the plugin's first bytes, none if it closes the connection."""
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(handshake.certificate_der))
    context.set_alpn_protocols(["h2"])
    if certificate and key:
        file = folder / "client.pem"
        file.write_bytes(certificate + key)
        context.load_cert_chain(file)
    try:
        reader, writer = await asyncio.open_unix_connection(handshake.address, ssl=context, server_hostname="localhost")
        try:
            writer.write(HTTP2_START)
            await writer.drain()
            return await reader.read(100)
        finally:
            writer.close()
    except (ssl.SSLError, ConnectionError):
        return b""


def signed_by(issuer: Identity) -> tuple[bytes, bytes]:
    """Make a certificate that is signed with the host's key but is not the host's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    parent = x509.load_pem_x509_certificate(issuer.certificate_pem)
    issuer_key = serialization.load_pem_private_key(issuer.key_pem, None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")]))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(parent.not_valid_before_utc)
        .not_valid_after(parent.not_valid_after_utc)
        .sign(issuer_key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    return certificate.public_bytes(encoding), key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


async def test_only_the_hosts_own_certificate_gets_through(tmp_path: Path) -> None:
    host, stranger = Identity(), Identity()
    async with running(environment={"PLUGIN_CLIENT_CERT": host.certificate_pem.decode()}) as plugin:
        assert await greet(plugin.handshake, host.certificate_pem, host.key_pem, tmp_path)
        assert not await greet(plugin.handshake, stranger.certificate_pem, stranger.key_pem, tmp_path)
        assert not await greet(plugin.handshake, *signed_by(host), tmp_path)
        assert not await greet(plugin.handshake, None, None, tmp_path)


async def test_a_host_with_the_right_certificate_can_call() -> None:
    host = Identity()
    async with running(environment={"PLUGIN_CLIENT_CERT": host.certificate_pem.decode()}) as plugin:
        assert not plugin.handshake.certificate.endswith("=")
        server = ssl.DER_cert_to_PEM_cert(plugin.handshake.certificate_der).encode()
        credentials = grpc.ssl_channel_credentials(server, host.key_pem, host.certificate_pem)
        options = [("grpc.ssl_target_name_override", "localhost")]
        async with grpc.aio.secure_channel(plugin.handshake.target, credentials, options) as channel:
            call = start_call(channel, "Resource.CallResource", Asker().resource("big", str(3_000_000)))
            assert sum([len(answer.body) async for answer in call]) == 3_000_000
        plugin.process.terminate()
        assert await plugin.ended() == 0


@pytest.mark.parametrize("certificate", ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
async def test_a_host_certificate_that_is_none_is_told(certificate: str) -> None:
    process = await spawn(ECHO, {**ENVIRONMENT, "PLUGIN_CLIENT_CERT": certificate})
    output, error = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert b"PLUGIN_CLIENT_CERT holds no certificate" in error
