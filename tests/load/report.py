"""What a run of many clients was like, and what of it is wrong."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.load.writer import Commit

SMALL_P99_MS = 250.0
WRITER_WAIT_MS = 50.0
_WARM_UP = 0.2  # part of the run in which caches and pools fill
# What allocators keep of the largest answers differs from one minute to the next; a leak goes on growing.
MEMORY_MARGIN = 96 * 1024 * 1024
WAL_BYTES = 64 * 1024 * 1024


@dataclass
class Report:
    """What happened: milliseconds by question, what went wrong, resident memory (bytes), the writer's commits."""

    waits: dict[str, list[float]] = field(default_factory=dict)
    small: list[float] = field(default_factory=list)
    heavy: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    ledger: int = 0

    def grown(self) -> int:
        """Return by how many bytes the last third of the memory samples is above the first, without the warm-up."""
        warm = self.memory[int(len(self.memory) * _WARM_UP) :]
        third = max(len(warm) // 3, 1)
        return int(statistics.median(warm[-third:]) - statistics.median(warm[:third])) if warm else 0

    def faults(self, *, timed: bool) -> list[str]:
        """Return in which ways the run was not as it should be; ``timed``: also those that depend on the machine."""
        found = list(dict.fromkeys(self.errors))
        if self.grown() > MEMORY_MARGIN:
            found.append(f"memory grew by {self.grown() / 2**20:.0f} MiB")
        largest = max((commit.wal_bytes for commit in self.commits), default=0)
        if largest > WAL_BYTES:
            found.append(f"the writer's log grew to {largest / 2**20:.0f} MiB")
        if timed and quantile(self.small, 0.99) > SMALL_P99_MS:
            found.append(f"99 of 100 small questions took up to {quantile(self.small, 0.99):.0f} ms")
        waited = max((commit.waited_ms for commit in self.commits), default=0.0)
        if timed and waited > WRITER_WAIT_MS:
            found.append(f"the writer waited {waited:.0f} ms for its lock")
        return found

    def lines(self) -> list[str]:
        """Return the report as text."""
        found = [
            f"{name:32} {len(waits):6} times, median {statistics.median(waits):7.1f} ms,"
            f" p99 {quantile(waits, 0.99):7.1f} ms, most {max(waits):7.1f} ms"
            for name, waits in [("small", self.small), ("heavy", self.heavy), *sorted(self.waits.items())]
            if waits
        ]
        if self.memory:
            found.append(f"memory: {max(self.memory) / 2**20:.0f} MiB at most, grew by {self.grown() / 2**20:.0f} MiB")
        if self.commits:
            waits = [commit.waited_ms for commit in self.commits]
            largest = max(commit.wal_bytes for commit in self.commits) / 2**20
            found.append(
                f"writer: {len(waits)} commits, waited {max(waits):.1f} ms at most; log {largest:.1f} MiB at most;"
                f" ledger looked at {self.ledger} times"
            )
        return found


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of the values does not exceed; 0 of none."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)] if values else 0.0
