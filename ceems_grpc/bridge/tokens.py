"""The tokens that a server lets in: lines of a file, which may be changed while it runs."""

import hashlib
import hmac
import logging
from pathlib import Path

from ceems_grpc.bridge.private_files import SecretFileError, read_private, version_of

_log = logging.getLogger(__name__)

_SHORTEST = 24  # characters; a random token of this length cannot be guessed


class TokenFile:
    """Tokens, one a line; empty lines and lines that begin with ``#`` do not count.

    Several count at once, so that a token can be replaced without a gap. The file is looked at for each call. While it
    cannot be used (missing, empty, open to other users), nobody is let in.
    """

    def __init__(self, path: Path) -> None:
        """Raises `SecretFileError` when the file cannot be used now."""  # noqa: D401 - says what a caller meets
        self._path = path
        self._version = version_of(path)
        self._digests = _read(path)

    def knows(self, token: str) -> bool:
        """Tell whether a token is one of those; takes as long whichever it is, and whether it is one."""
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
            _log.info("tokens read anew", extra={"tokens": len(self._digests)})
        except SecretFileError as error:
            self._digests = []
            _log.error("nobody is let in: %s", error)


def _read(path: Path) -> list[bytes]:
    try:
        lines = [line.strip() for line in read_private(path).decode().splitlines()]
    except UnicodeDecodeError:
        raise SecretFileError(f"{path} is no text.") from None
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise SecretFileError(f"{path} holds no token: write one on a line, such as `openssl rand -hex 32` gives.")
    if any(len(token) < _SHORTEST for token in tokens):
        raise SecretFileError(f"{path} holds a token of fewer than {_SHORTEST} characters: use `openssl rand -hex 32`.")
    return [_digest(token) for token in tokens]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
