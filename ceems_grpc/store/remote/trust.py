"""The authorities that the system knows: gRPC brings a list of its own, which holds no site's."""

from pathlib import Path

# Debian and Ubuntu; Fedora and RHEL; openSUSE; Alpine and macOS.
_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_authorities() -> bytes | None:
    """Return the system's certificates in PEM; None where there are none, so that gRPC's own list counts."""
    for name in _FILES:
        try:
            return Path(name).read_bytes()
        except OSError:
            continue
    return None
