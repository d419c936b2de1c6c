"""The report of a run with many clients, and its faults."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.load.trend import Trend, trend
from tests.load.writer import Commit

SMALL_P99_MS = 250.0
WRITER_WAIT_MS = 50.0
_WARM_UP = 0.2  # the part of the run in which caches and pools fill
# The memory that allocators keep after the largest answers varies from minute to minute; a leak grows steadily.
MEMORY_MARGIN = 96 * 1024 * 1024
WAL_BYTES = 64 * 1024 * 1024
MEMORY_INTERVAL = 0.5  # seconds between two samples
# The growth of a leak, in bytes per hour. In a short run, noise hides it: the interval then reaches below this value.
LEAK = 6 * 1024 * 1024
_MEBIBYTE = 1024 * 1024


@dataclass
class Report:
    """The results: milliseconds by query, errors, resident memory (bytes), the writer's commits.

    ``memory`` is of the plugin's process, ``helpers`` of the processes that it started; both at the same moments.
    """

    waits: dict[str, list[float]] = field(default_factory=dict)
    small: list[float] = field(default_factory=list)
    heavy: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    helpers: list[int] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    ledger: int = 0

    def grown(self) -> int:
        """Return by how many bytes the last third of the memory samples exceeds the first, without the warm-up."""
        warm = self.memory[int(len(self.memory) * _WARM_UP) :]
        third = max(len(warm) // 3, 1)
        return int(statistics.median(warm[-third:]) - statistics.median(warm[:third])) if warm else 0

    def memory_line(self) -> str:
        """Return a line with the current memory, the median of the last minute, and how long it has been sampled."""
        minutes = len(self.memory) * MEMORY_INTERVAL / 60
        last = int(60 / MEMORY_INTERVAL)
        plugin, helpers = (statistics.median(samples[-last:]) / _MEBIBYTE for samples in (self.memory, self.helpers))
        return f"after {minutes:.0f} min: memory of plugin {plugin:.1f} MiB, helpers {helpers:.1f} MiB"

    def late_trends(self) -> dict[str, Trend]:
        """Return the trends of memory over the second half of the run in bytes per hour, by the kind of sample."""
        halves = {
            "plugin": self.memory[len(self.memory) // 2 :],
            "helpers": self.helpers[len(self.helpers) // 2 :],
        }
        trends = {what: trend(half, MEMORY_INTERVAL) for what, half in halves.items()}
        return {what: found for what, found in trends.items() if found}

    def faults(self, *, timed: bool) -> list[str]:
        """Return the faults of the run; ``timed``: include those that depend on the speed of the machine."""
        found = list(dict.fromkeys(self.errors))
        if self.grown() > MEMORY_MARGIN:
            found.append(f"memory grew by {self.grown() / 2**20:.0f} MiB")
        for what, found_trend in self.late_trends().items():
            if timed and found_trend.lowest > LEAK:
                found.append(f"memory of {what} still grows by {found_trend.slope / _MEBIBYTE:.1f} MiB an hour")
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
        found += [
            f"memory of {what}, second half: slope {line.slope / _MEBIBYTE:+.2f} MiB an hour,"
            f" 95 % confidence {line.lowest / _MEBIBYTE:+.2f} to {line.highest / _MEBIBYTE:+.2f}"
            for what, line in self.late_trends().items()
        ]
        if self.commits:
            waits = [commit.waited_ms for commit in self.commits]
            largest = max(commit.wal_bytes for commit in self.commits) / 2**20
            found.append(
                f"writer: {len(waits)} commits, waited {max(waits):.1f} ms at most; log {largest:.1f} MiB at most;"
                f" ledger looked at {self.ledger} times"
            )
        return found


def quantile(values: Sequence[float], part: float) -> float:
    """Return the quantile of the values for a fraction; 0 without values."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)] if values else 0.0
