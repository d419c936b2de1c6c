"""Where a mirror lies, how much it may take, and how it is filled."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ceems_grpc.store.duckdb.files import cache_folders, memory_folders


def helper_command() -> tuple[str, ...]:
    """Return the command of the process that fills large mirrors; one argument is added, a `FillJob` as JSON."""
    if getattr(sys, "frozen", False):  # a self-contained executable is its own interpreter
        return (sys.executable, "fill-mirror")
    return (sys.executable, "-m", "ceems_grpc.store.duckdb.fill")


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """Where the mirror lies and how much it may take.

    ``folders``: tried in this order; where none can be written there is no mirror. ``memory_limit``: of DuckDB, while
    it answers and while it fills. ``interval``: seconds between looks at the database. ``idle``: seconds without a
    question after which nobody looks. ``least``: bytes of the database below which there is no mirror, since the live
    file answers as fast. ``retry``: most seconds from a failure to the next try; the first comes sooner.
    ``helper_above``: bytes of the database above which a process of its own fills the mirror.
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
        """Return settings of a mirror that is never on a disk."""
        return cls(folders=memory_folders())
