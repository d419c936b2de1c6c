"""The certificate authorities of the system. gRPC has its own list, which lacks the authorities of a site."""

from pathlib import Path

# Debian and Ubuntu; Fedora and RHEL; openSUSE; Alpine and macOS.
_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_authorities() -> bytes | None:
    """Return the system's certificates in PEM, or None if there are none; gRPC then uses its own list."""
    for name in _FILES:
        try:
            return Path(name).read_bytes()
        except OSError:
            continue
    return None
