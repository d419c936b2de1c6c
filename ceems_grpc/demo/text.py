"""Texts in the form that CEEMS, written in Go, gives them: numbers in metric maps, and uuids."""

from __future__ import annotations

from random import Random


def number(value: float) -> str:
    """Return a metric as ceems_api_server writes it: whole numbers plain, others with exactly 8 decimals."""
    return f"{value:.8f}" if value % 1 else str(int(value))


def random_uuid(random: Random) -> str:
    """Return a random (version 4) uuid as text."""
    digits = f"{random.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
