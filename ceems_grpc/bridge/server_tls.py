"""The certificate of the server, reloaded when its file changes."""

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
    "Expiry of the server's certificate, in seconds since 1970.",
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. ``client_ca``: the authority of client certificates; None means that clients need no certificate."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def versions(self) -> tuple[Version | None, ...]:
        """Return a value that changes with the files."""
        return tuple(version_of(path) for path in (self.certificate, self.key, self.client_ca) if path)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Return credentials that check the files for each connection. Raises `SecretFileError` if they cannot be used.

    If changed files cannot be used, for example because the key does not match yet, the server logs that and keeps the
    previous certificate.
    """
    return grpc.dynamic_ssl_server_credentials(
        _read(files),
        _fetcher(files),  # type: ignore[arg-type]  # None means no change, which the type stubs lack
        require_client_authentication=files.client_ca is not None,
    )


def _fetcher(files: TlsFiles) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    seen = [files.versions()]
    lock = threading.Lock()  # held in threads of gRPC

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        with lock:
            versions = files.versions()
            if versions == seen[0]:
                return None
            seen[0] = versions
            try:
                renewed = _read(files)
            except SecretFileError as error:
                _log.error("the previous certificate is kept: %s", error)
                return None
            _log.info("certificate reloaded", extra={"file": str(files.certificate)})
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
