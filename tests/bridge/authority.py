"""A certificate authority for tests, made by trustme, and the certificates that it signs, as PEM texts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import trustme
from cryptography import x509

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key in PEM."""

    certificate: str
    key: str


class Authority:
    """Signs certificates with a key that only this object knows."""

    def __init__(self, name: str = "Test authority") -> None:
        self._ca = trustme.CA(organization_name=name)

    @property
    def certificate(self) -> str:
        return _text(self._ca.cert_pem)

    @property
    def name(self) -> str:
        """The name by which certificates call their issuer."""
        return x509.load_pem_x509_certificate(self._ca.cert_pem.bytes()).subject.rfc4514_string()

    def issue(self, *names: str, start: timedelta = -_HOUR, end: timedelta = 24 * _HOUR) -> Pair:
        """Sign a certificate for host names and addresses; ``start`` and ``end`` of its validity count from now."""
        now = datetime.now(UTC)
        issued = self._ca.issue_cert(*names, not_before=now + start, not_after=now + end)
        return Pair(_text(issued.cert_chain_pems[0]), _text(issued.private_key_pem))


def _text(pem: trustme.Blob) -> str:
    return pem.bytes().decode()
