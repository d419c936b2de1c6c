"""Reports the state of the service to systemd (sd_notify(3))."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send a state such as ``READY=1``. Does nothing if NOTIFY_SOCKET is not in the environment."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(f"\0{path[1:]}" if path.startswith("@") else path)
        sender.send(state.encode())
