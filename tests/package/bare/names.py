"""A small DNS server for processes that do not have the host's files."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ADDRESS = "127.0.0.99"  # of loopback; /etc/resolv.conf cannot name a port, so no other server may use this address
_A = 1
_HEADER_BYTES = 12


@contextmanager
def naming(name: str) -> Iterator[list[str]]:
    """Resolve one name to 127.0.0.1 and no other name; yield the list of requested names.

    Skips the calling test where it may not listen at port 53.
    """
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind((ADDRESS, 53))
        except PermissionError:
            pytest.skip("names were not resolved by DNS: only root may listen at port 53")
        thread = threading.Thread(target=_serve, args=(server, name, asked), daemon=True)
        thread.start()
        yield asked
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (ADDRESS, 53))
        thread.join(10)


def _serve(server: socket.socket, name: str, asked: list[str]) -> None:
    while True:
        message, asker = server.recvfrom(4096)
        if not message:
            return
        found, kind, end = _question(message)
        asked.append(found)
        server.sendto(_answer(message, end, kind, exists=found == name), asker)


def _question(message: bytes) -> tuple[str, int, int]:
    """Return the name and type that a message requests, and the position where its question ends."""
    labels, at = [], _HEADER_BYTES
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels).lower(), int.from_bytes(message[at + 1 : at + 3], "big"), at + 5


def _answer(message: bytes, end: int, kind: int, *, exists: bool) -> bytes:
    """Return the reply: an address for type A, none for other types, and "no such name" for other names."""
    has_address = exists and kind == _A
    flags = b"\x81\x80" if exists else b"\x81\x83"
    counts = b"\0\1" + (b"\0\1" if has_address else b"\0\0") + b"\0\0\0\0"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("127.0.0.1") if has_address else b""
    return message[:2] + flags + counts + message[_HEADER_BYTES:end] + record
