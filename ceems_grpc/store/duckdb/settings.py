"""Where a mirror is stored, how much it may use, and how it is filled."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ceems_grpc.store.duckdb.files import cache_folders, memory_folders


def helper_command() -> tuple[str, ...]:
    """Return the command of the process that fills large mirrors. The caller adds an argument, a `FillJob` as JSON."""
    if getattr(sys, "frozen", False):  # a self-contained executable is its own interpreter
        return (sys.executable, "fill-mirror")
    return (sys.executable, "-m", "ceems_grpc.store.duckdb.fill")


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """Where the mirror is stored and how much it may use.

    ``folders``: tried in this order; if none can be written, there is no mirror. ``memory_limit``: of DuckDB, for
    answering and for filling. ``interval``: seconds between checks of the database. ``idle``: seconds without a
    question after which checks stop. ``least``: bytes of the database below which there is no mirror, because the live
    file answers as fast. ``retry``: the most seconds from a failure to the next attempt; the first attempt comes
    sooner. ``helper_above``: bytes of the database above which a separate process fills the mirror.
    """

    folders: tuple[Path, ...] = field(default_factory=cache_folders)
    memory_limit: str = "128MB"
    threads: int = 2
    interval: float = 1.0
    idle: float = 3600.0
    retry: float = 30.0
    least: int = 0
    helper_above: int = 48 * 1024 * 1024
    helper: Sequence[str] = field(default_factory=helper_command)

    @classmethod
    def in_memory(cls) -> "MirrorSettings":
        """Return settings of a mirror that is never stored on a disk."""
        return cls(folders=memory_folders())
