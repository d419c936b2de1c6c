"""Finds out why a server cannot be reached, because the errors of gRPC hardly say."""

import asyncio
import errno
import socket
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from cryptography import x509

from ceems_grpc.store.remote.certificates import check_pair, names_of, validity_trouble
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.errors import Cause, RemoteError
from ceems_grpc.store.remote.trust import system_authorities

_STEP_SECONDS = 3.0
_MOMENT_SECONDS = 0.3
# The preface of an HTTP/2 client (RFC 9113, 3.4): a fixed text and a SETTINGS frame, here an empty one.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME = 4
_TLS_RECORDS = (b"\x15", b"\x16")

# OpenSSL's numbers X509_V_ERR_... for a rejected certificate (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21, 27)
_OTHER_NAME = (62, 64)

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def diagnose(endpoint: Endpoint) -> RemoteError | None:
    """Try to reach the server step by step: name, network, TLS, HTTP/2. Return the failure, or None.

    Takes a few seconds at most. No token is sent.
    """
    try:
        own = _own_certificate_trouble(endpoint)
        if own:
            return own
        try:
            await _try(endpoint)
        except _BrokenOffError:
            # A server that is shutting down looks like one that refuses us. A moment later the two differ.
            await asyncio.sleep(_MOMENT_SECONDS)
            await _try(endpoint)
    except RemoteError as error:
        return error
    except TimeoutError:
        return RemoteError(
            Cause.NETWORK, f"{endpoint.address} accepts connections, but does not answer: is it a ceems-grpc server?"
        )
    return None


class _BrokenOffError(RemoteError):
    """The server accepted the connection and closed it without an answer."""


async def _try(endpoint: Endpoint) -> None:
    connection = await _connect(endpoint)
    try:
        async with asyncio.timeout(_STEP_SECONDS):
            await _speak(endpoint, connection)
    finally:
        connection.close()


def _own_certificate_trouble(endpoint: Endpoint) -> RemoteError | None:
    if not endpoint.client_cert:
        return None
    certificate = check_pair(endpoint.client_cert.encode(), endpoint.client_key.encode(), "The client certificate")
    trouble = validity_trouble(certificate)
    return RemoteError(Cause.TLS, f"The client certificate {trouble}: replace it.") if trouble else None


async def _connect(endpoint: Endpoint) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_STEP_SECONDS):
            found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except TimeoutError:  # a subclass of OSError
        raise RemoteError(Cause.NAME, f"This host's DNS does not answer for the name {endpoint.host}.") from None
    except (OSError, UnicodeError):
        raise RemoteError(
            Cause.NAME, f"The name {endpoint.host} is not known here: check the address, and this host's DNS."
        ) from None
    troubles = []
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                await loop.sock_connect(connection, address)
        except (OSError, TimeoutError) as error:
            connection.close()
            troubles.append(error)
        else:
            return connection
    raise RemoteError(Cause.NETWORK, _network_sentence(endpoint, troubles))


def _network_sentence(endpoint: Endpoint, troubles: Sequence[Exception]) -> str:
    numbers = {getattr(trouble, "errno", None) for trouble in troubles}
    if errno.ECONNREFUSED in numbers:
        return (
            f"Nothing listens on {endpoint.address}: check that the ceems-grpc server runs there, and the port that "
            "it listens on."
        )
    if numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return f"There is no network route to {endpoint.address}."
    return f"{endpoint.address} does not answer: check that the host is up, and the firewalls on the way."


async def _speak(endpoint: Endpoint, connection: socket.socket) -> None:
    if endpoint.plain_text:
        reader, writer = await asyncio.open_connection(sock=connection)
    else:
        reader, writer = await _start_tls(endpoint, connection)
    try:
        writer.write(_HELLO)
        await writer.drain()
        answer = await reader.read(9)
    except ssl.SSLError as error:
        raise RemoteError(Cause.TLS, _refused_sentence(endpoint, error)) from None
    except OSError:
        answer = b""
    finally:
        writer.transport.abort()
    if len(answer) > 3 and answer[3] == _SETTINGS_FRAME:
        return
    if endpoint.plain_text and (not answer or answer[:1] in _TLS_RECORDS):
        raise _BrokenOffError(Cause.TLS, f"{endpoint.address} expects TLS: switch plain text off.")
    if not answer:
        raise _BrokenOffError(Cause.TLS, _refused_sentence(endpoint, None))
    raise RemoteError(Cause.VERSION, f"{endpoint.address} is not a ceems-grpc server: it does not speak HTTP/2.")


async def _start_tls(endpoint: Endpoint, connection: socket.socket) -> _Stream:
    try:
        context = _tls(endpoint)
    except ssl.SSLError as error:
        raise RemoteError(Cause.TLS, f"The certificates that are set here cannot be used: {error.reason}.") from None
    try:
        return await asyncio.open_connection(sock=connection, ssl=context, server_hostname=endpoint.expected_name)
    except ssl.SSLCertVerificationError as error:
        certificate = await _certificate(endpoint)
        raise RemoteError(Cause.TLS, _certificate_sentence(endpoint, error, certificate)) from None
    except ssl.SSLError as error:
        if error.reason in {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
            raise RemoteError(
                Cause.TLS, f"{endpoint.address} does not speak TLS: is it the port of the ceems-grpc server?"
            ) from None
        raise RemoteError(Cause.TLS, _refused_sentence(endpoint, error)) from None
    except OSError as error:
        raise _BrokenOffError(Cause.TLS, _refused_sentence(endpoint, error)) from None


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    authorities = endpoint.ca_cert.encode() or system_authorities()
    if authorities:
        context.load_verify_locations(cadata=authorities.decode("ascii", "ignore"))
    else:
        context.load_default_certs()
    if endpoint.client_cert:
        # The ssl module reads a key only from a file. Only this user can read this one, and it is deleted at once.
        with tempfile.NamedTemporaryFile(prefix="ceems-grpc-") as file:
            file.write(f"{endpoint.client_key}\n{endpoint.client_cert}\n".encode())
            file.flush()
            context.load_cert_chain(file.name)
    return context


async def _certificate(endpoint: Endpoint) -> x509.Certificate | None:
    """Fetch the rejected certificate, to say what is wrong with it. No data is sent on this connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with suppress(OSError, ssl.SSLError, ValueError):
        _, writer = await asyncio.open_connection(
            endpoint.host, endpoint.port, ssl=context, server_hostname=endpoint.expected_name
        )
        data = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return x509.load_der_x509_certificate(data)
    return None


def _certificate_sentence(
    endpoint: Endpoint, error: ssl.SSLCertVerificationError, certificate: x509.Certificate | None
) -> str:
    whose = f"The certificate of {endpoint.address}"
    trouble = validity_trouble(certificate) if certificate else ""
    if error.verify_code == _EXPIRED:
        return f"{whose} {trouble or 'has expired'}: renew it there, or set this host's clock right."
    if error.verify_code == _NOT_YET_VALID:
        return f"{whose} {trouble or 'is not valid yet'}: compare the clocks of the two hosts."
    if error.verify_code in _UNKNOWN_AUTHORITY:
        issuer = f", {certificate.issuer.rfc4514_string()}," if certificate else ""
        known = "is not the one that is set here" if endpoint.ca_cert else "is not known here: set its certificate"
        return f"{whose} was signed by an authority{issuer} that {known}."
    if error.verify_code in _OTHER_NAME:
        names = ", ".join(names_of(certificate)[:5]) if certificate else ""
        return (
            f"{whose} is not for the name {endpoint.expected_name}"
            f"{f', but for {names}' if names else ''}: use a name of the certificate, or set it as the server name."
        )
    return f"{whose} is not accepted: {error.verify_message}."


def _refused_sentence(endpoint: Endpoint, error: Exception | None) -> str:
    reason = str(getattr(error, "reason", "") or "").lower().replace("_", " ")
    if not endpoint.client_cert:
        return f"{endpoint.address} broke off the TLS handshake: it may require a client certificate, and none is set."
    why = f" ({reason})" if reason else ""
    return (
        f"{endpoint.address} refuses the client certificate{why}: it must be signed by the authority in the "
        "server's option --client-ca."
    )
