"""The unix socket that the host connects to: a fresh name, closed to other users, gone at the end."""

import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ceems_grpc.grafana.serve.handshake import HandshakeError

# sun_path of Linux holds 108 bytes with its end, that of macOS 104.
_LONGEST_PATH = 103
# The names of a folder of our own and of the socket in it, and of no others.
_FOLDER, _PRIVATE_NAME = "grafana-plugin-", "socket"
# A socket that is younger may be about to be listened at.
_YOUNG_SECONDS = 60.0


@contextmanager
def socket_path(folder: Path | None) -> Iterator[Path]:
    """Give a path for a socket in ``folder``, or in a folder of our own; remove what is there at the end.

    Raises ``HandshakeError`` when the folder is missing or its path too long for a socket.
    """
    if folder:
        path = folder.absolute() / f"plugin{secrets.token_hex(6)}"
    else:
        _remove_abandoned()
        path = Path(tempfile.mkdtemp(prefix=_FOLDER)).absolute() / _PRIVATE_NAME
    try:
        if not path.parent.is_dir():
            raise HandshakeError(f"The folder for the plugin's socket does not exist: {path.parent}")
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise HandshakeError(
                f"The path of the plugin's socket is longer than {_LONGEST_PATH} bytes: {path}. "
                "Set PLUGIN_UNIX_SOCKET_DIR or TMPDIR to a folder with a shorter path."
            )
        yield path
    finally:
        remove_socket(path)


def remove_socket(path: Path) -> None:
    """Remove a socket made at a path of ``socket_path``, and the folder of our own around it."""
    path.unlink(missing_ok=True)
    if path.name == _PRIVATE_NAME:
        with suppress(OSError):
            path.parent.rmdir()


def _remove_abandoned() -> None:
    """Remove sockets in folders of our own that processes left behind that were killed: nobody listens at them."""
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*/{_PRIVATE_NAME}"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
            status = path.lstat()
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _YOUNG_SECONDS:
                continue
            caller.settimeout(0.1)
            try:
                caller.connect(str(path))
            except ConnectionRefusedError:
                remove_socket(path)


@contextmanager
def for_owner_only() -> Iterator[None]:
    """Make files created meanwhile unreachable for other users, from the moment they are there."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def allow_group(path: Path, group: str) -> None:
    """Let a group (name or number; empty for none) connect besides the owner.

    Raises ``HandshakeError`` when there is no such group or the owner may not give the socket to it.
    """
    if not group:
        return
    try:
        shutil.chown(path, group=int(group) if group.isdecimal() else group)
        path.chmod(0o660)
    except (LookupError, OSError) as error:
        raise HandshakeError(f"The plugin's socket cannot be given to the group {group!r}: {error}") from error
