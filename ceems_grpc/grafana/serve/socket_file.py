"""The unix socket that the host connects to: a new name, closed to other users, removed at the end."""

import asyncio
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ceems_grpc.grafana.serve.handshake import HandshakeError

# sun_path holds 108 bytes on Linux and 104 on macOS, with the final zero.
_LONGEST_PATH = 103
# Names of our private folder and of the socket in it. Nothing else has these names.
_FOLDER, _PRIVATE_NAME = "grafana-plugin-", "socket"
# Another process may be about to listen on a younger socket.
_YOUNG_SECONDS = 60.0
_LOOK_SECONDS = 3.0  # between two checks of the socket file; each is one system call


@contextmanager
def socket_path(folder: Path | None) -> Iterator[Path]:
    """Yield a path for a socket in ``folder``, or in a private folder; remove the socket and that folder at the end.

    Raises ``HandshakeError`` if the folder is missing or cannot be made, or if the path is too long for a socket.
    """
    path = folder.absolute() / f"plugin{secrets.token_hex(6)}" if folder else _private_folder() / _PRIVATE_NAME
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
    """Remove a socket made at a path of ``socket_path``, and its folder if that is private."""
    with suppress(OSError):  # It may have been removed already, or its folder closed to us.
        path.unlink()
    if path.name == _PRIVATE_NAME:
        with suppress(OSError):
            path.parent.rmdir()


@contextmanager
def creating_socket(path: Path) -> Iterator[None]:
    """Create a socket within; other users cannot reach it from the moment it exists.

    Raises ``HandshakeError`` in place of the error of whoever fails to create it.
    """
    before = os.umask(0o177)
    try:
        yield
    except (OSError, RuntimeError) as error:  # gRPC raises RuntimeError
        raise HandshakeError(
            f"The plugin cannot create its socket in {path.parent}: {_reason(path.parent, error)}. "
            "Set PLUGIN_UNIX_SOCKET_DIR or TMPDIR to a folder that Grafana's user may write to."
        ) from error
    finally:
        os.umask(before)


def allow_group(path: Path, group: str) -> None:
    """Let a group (name or number; empty for none) connect as well as the owner.

    Raises ``HandshakeError`` if there is no such group, or if the owner may not give the socket to it.
    """
    if not group:
        return
    try:
        shutil.chown(path, group=int(group) if group.isdecimal() else group)
        path.chmod(0o660)
    except (LookupError, OSError) as error:
        raise HandshakeError(f"The plugin's socket cannot be given to the group {group!r}: {error}") from error


async def until_socket_lost(paths: Sequence[Path]) -> None:
    """Return when one of the socket files has been removed or replaced.

    Open connections go on without the file, but no host can connect again.
    """
    ours = [_identity(path) for path in paths]
    while None not in ours and ours == [_identity(path) for path in paths]:  # noqa: ASYNC110 nobody tells us
        await asyncio.sleep(_LOOK_SECONDS)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _private_folder() -> Path:
    try:
        _remove_abandoned()
        return Path(tempfile.mkdtemp(prefix=_FOLDER)).absolute()
    except OSError as error:
        raise HandshakeError(
            f"There is no temporary folder for the plugin's socket: {error.strerror or error}. "
            "Set PLUGIN_UNIX_SOCKET_DIR or TMPDIR to a folder that Grafana's user may write to."
        ) from error


def _remove_abandoned() -> None:
    """Remove the private folders of processes that were killed: nobody listens on their sockets."""
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


def _reason(folder: Path, error: Exception) -> str:
    """Say why no socket could be made in a folder: gRPC's error gives no reason."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    try:
        with tempfile.TemporaryFile(dir=folder):
            return str(error)
    except OSError as found:
        return found.strerror or str(found)
