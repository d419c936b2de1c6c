"""The server's certificate, taken up anew when it is renewed on disk."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from prometheus_client import Gauge

from ceems_grpc.bridge.private_files import SecretFileError, Version, read_private, read_public, version_of
from ceems_grpc.store.remote.certificates import CertificateError, check_pair, read_certificates, validity_trouble

_log = logging.getLogger(__name__)

_EXPIRES = Gauge(
    "ceems_bridge_certificate_expires_timestamp_seconds",
    "When the server's certificate expires, in seconds since 1970.",
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. ``client_ca``: whose certificates clients must have; None asks for none."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def versions(self) -> tuple[Version | None, ...]:
        """Return a value that is another one when a file was changed."""
        return tuple(version_of(path) for path in (self.certificate, self.key, self.client_ca) if path)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Return credentials that look at the files for each connection. Raises `SecretFileError` if they cannot be used.

    What cannot be used later, such as a certificate whose key is not there yet, is told in the log, and the former is
    kept.
    """
    return grpc.dynamic_ssl_server_credentials(
        _read(files),
        _fetcher(files),  # type: ignore[arg-type]  # may return None for no change, which the types leave out
        require_client_authentication=files.client_ca is not None,
    )


def _fetcher(files: TlsFiles) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    seen = [files.versions()]
    lock = threading.Lock()  # gRPC asks in threads of its own

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        with lock:
            versions = files.versions()
            if versions == seen[0]:
                return None
            seen[0] = versions
            try:
                renewed = _read(files)
            except SecretFileError as error:
                _log.error("the former certificate is kept: %s", error)
                return None
            _log.info("certificate read anew", extra={"file": str(files.certificate)})
            return renewed

    return fetch


def _read(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    certificate, key = read_public(files.certificate), read_private(files.key)
    authorities = read_public(files.client_ca) if files.client_ca else None
    try:
        first = check_pair(certificate, key, str(files.certificate))
        if authorities is not None:
            read_certificates(authorities, str(files.client_ca))
    except CertificateError as error:
        raise SecretFileError(str(error)) from None
    _EXPIRES.set(first.not_valid_after_utc.timestamp())
    trouble = validity_trouble(first)
    if trouble:
        _log.warning("the certificate %s", trouble, extra={"file": str(files.certificate)})
    return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=authorities)
