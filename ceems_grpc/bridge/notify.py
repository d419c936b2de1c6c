"""Tells systemd how the service is (sd_notify(3)), where it wants to know."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send a state such as ``READY=1``; without NOTIFY_SOCKET in the environment nothing is sent."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(f"\0{path[1:]}" if path.startswith("@") else path)
        sender.send(state.encode())
