"""Measures wall time as panels see it, and memory as the kernel counts it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.baseline import Baseline
from bench.floor import Floor, transfer
from bench.questions import Got, Question
from tests.support.plugin.ceems import CeemsPlugin


@dataclass
class Timing:
    """The milliseconds of each run, the size of the last answer, and the plugin's peak memory during the runs (MiB)."""

    milliseconds: list[float] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    peak: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


async def measure(ceems: CeemsPlugin, question: Question, repeats: int) -> Timing:
    """Run a query once to warm up, then this many times."""
    await question.plugin(ceems, repeats + 1)
    pid = ceems.plugin.process.pid
    forget_peak(pid)
    timing, got = Timing(), Got()
    for repeat in range(repeats):
        started = time.perf_counter()
        got = await question.plugin(ceems, repeat)
        timing.milliseconds.append((time.perf_counter() - started) * 1000)
    timing.rows, timing.bytes, timing.peak = got.rows, got.bytes, memory(pid)[1]
    return timing


def measure_baseline(base: Baseline, question: Question, repeats: int) -> Timing:
    """Run the plain statements this many times."""
    return _repeated(lambda repeat: question.baseline(base, repeat), repeats)


def measure_floor(floor: Floor, question: Question, answered: Timing, repeats: int) -> Timing:
    """Run the bare statement and send as many bytes as the plugin did, this many times after a warm-up."""
    bare = question.floor
    if bare is None:
        return Timing()

    def once(repeat: int) -> int:
        rows = bare(floor, repeat)
        transfer(answered.bytes)
        return rows

    once(repeats + 1)
    return _repeated(once, repeats)


def memory(pid: int) -> tuple[float, float]:
    """Return the resident memory of a process in MiB, now and at its peak."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(values["VmRSS"]) / 1024, int(values["VmHWM"]) / 1024


def forget_peak(pid: int) -> None:
    """Reset the peak memory of a process to its current memory; see clear_refs in proc(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _repeated(work: Callable[[int], int], repeats: int) -> Timing:
    timing = Timing()
    for repeat in range(repeats):
        started = time.perf_counter()
        timing.rows = work(repeat)
        timing.milliseconds.append((time.perf_counter() - started) * 1000)
    return timing
