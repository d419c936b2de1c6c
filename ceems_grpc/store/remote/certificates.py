"""Reads certificates and keys in PEM, and says what is wrong with them."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

# The TLS library in gRPC supports keys on these curves only.
_CURVES = (ec.SECP256R1, ec.SECP384R1)


class CertificateError(Exception):
    """A certificate or key cannot be used. The message says what is required."""


def read_certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    """Read one or more certificates. ``what`` names them in the message of `CertificateError`."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise CertificateError(f"{what} is not a certificate in PEM (-----BEGIN CERTIFICATE-----).") from None


def check_pair(certificate_pem: bytes, key_pem: bytes, what: str) -> x509.Certificate:
    """Return the certificate of a key. Raises `CertificateError` if they do not belong together."""
    certificate = read_certificates(certificate_pem, what)[0]
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError(f"The key of {_within(what)} is not an unencrypted private key in PEM.") from None
    if key.public_key() != certificate.public_key():
        raise CertificateError(f"The key of {_within(what)} belongs to another certificate.")
    if isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, _CURVES):
        raise CertificateError(f"The key of {_within(what)} is on the curve {key.curve.name}: use RSA, P-256 or P-384.")
    return certificate


def tidy_certificates(pem: str) -> str:
    """Return certificates in normal form: PEM that was pasted often has no line ends."""
    found = read_certificates(pem.encode(), "The certificate") if pem else []
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in found)


def tidy_key(pem: str) -> str:
    """Return an unencrypted key in normal form."""
    if not pem:
        return ""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _within(what: str) -> str:
    return what[0].lower() + what[1:]


def validity_trouble(certificate: x509.Certificate, now: datetime | None = None) -> str:
    """Return why a certificate is not valid at ``now`` (UTC), such as "expired on ..."; "" if it is valid."""
    now = now or datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if certificate.not_valid_before_utc > now:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the host names and addresses in a certificate."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [str(part.value) for part in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    return [
        *extension.get_values_for_type(x509.DNSName),
        *(str(address) for address in extension.get_values_for_type(x509.IPAddress)),
    ]
