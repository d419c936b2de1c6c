"""The tokens that a server accepts: lines of a file, which can change while the server runs."""

import hashlib
import hmac
import logging
from pathlib import Path

from ceems_grpc.bridge.private_files import SecretFileError, read_private, version_of

_log = logging.getLogger(__name__)

_SHORTEST = 24  # characters; a random token of this length cannot be guessed


class TokenFile:
    """A file with one token per line. Empty lines and lines that start with ``#`` are ignored.

    Several tokens are valid at the same time, so that a token can be replaced without an interruption. The file is
    checked for each call. While it cannot be used (missing, empty, open to other users), all calls are refused.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises `SecretFileError` if it cannot be used."""
        self._path = path
        self._version = version_of(path)
        self._digests = _read(path)

    def knows(self, token: str) -> bool:
        """Return whether a token is in the file. The time does not depend on the token."""
        self._renew()
        digest = _digest(token)
        return sum([hmac.compare_digest(digest, known) for known in self._digests]) > 0

    def _renew(self) -> None:
        version = version_of(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._digests = _read(self._path)
            _log.info("tokens reloaded", extra={"tokens": len(self._digests)})
        except SecretFileError as error:
            self._digests = []
            _log.error("all calls are refused: %s", error)


def _read(path: Path) -> list[bytes]:
    try:
        lines = [line.strip() for line in read_private(path).decode().splitlines()]
    except UnicodeDecodeError:
        raise SecretFileError(f"{path} is not a text file.") from None
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise SecretFileError(f"{path} holds no token: write one per line, for example from `openssl rand -hex 32`.")
    if any(len(token) < _SHORTEST for token in tokens):
        raise SecretFileError(f"{path} holds a token of fewer than {_SHORTEST} characters: use `openssl rand -hex 32`.")
    return [_digest(token) for token in tokens]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
