"""Runs the questions through the real plugin process and beside it as plain SQL, and prints medians and ratios.

    python -m bench.run [--units 1000000] [--days 365] [--repeats 7] [--sizes 10000,100000] [--clients 1,8,32]

The windows of a repeated question differ, so that no cache of answers is measured. Times are wall time, as panels wait.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from bench.baseline import METRICS, Baseline
from ceems_grpc.demo.database import write_demo_database
from ceems_grpc.plugin.pb import pluginv2_pb2 as pb
from tests.golden.ceems_plugin import CeemsPlugin, ceems_plugin

ROOT = Path(__file__).parents[1]
ZONE = ZoneInfo("Europe/Paris")
DAY = 86_400
SEVEN = METRICS[:7]
_out = Console(width=110)


@dataclass
class Timing:
    """Milliseconds of each run, and how much came back."""

    milliseconds: list[float]
    rows: int = 0
    bytes: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


@dataclass
class Question:
    """A question in both forms; both get the number of the repeat, by which their windows differ."""

    name: str
    goal: float
    plugin: Callable[[CeemsPlugin, int], Awaitable[tuple[int, int]]]
    baseline: Callable[[Baseline, int], int]


def _window(days: int, repeat: int, now: int) -> tuple[int, int]:
    """Return a window of so many days in seconds, a little earlier with each repeat."""
    end = now // 900 * 900 - repeat * 4_500
    return end - days * DAY, end


def _local(window: tuple[int, int], layout: str) -> tuple[str, str]:
    first, last = (datetime.fromtimestamp(moment, ZONE).strftime(layout) for moment in window)
    return first, last


def questions(now: int, user: str) -> list[Question]:
    """Return the questions that are measured."""

    def usage(days: int, fields: tuple[str, ...]) -> Question:
        async def ask(ceems: CeemsPlugin, repeat: int) -> tuple[int, int]:
            model = {"queryType": "usage", "admin": True, "groupBy": ["cluster_id"]}
            model["fields"] = ["cluster_id", "username", "project", "num_units", *fields]
            return await _query(ceems, "admin", model, _window(days, repeat, now))

        label = "all metrics" if len(fields) == len(METRICS) else f"{len(fields)} metrics"
        return Question(
            f"usage, {days} days, everybody, {label}",
            100,
            ask,
            lambda base, repeat: base.usage(fields, _local(_window(days, repeat, now), "%Y-%m-%dT%H:%M:%S")),
        )

    async def units_frames(ceems: CeemsPlugin, repeat: int) -> tuple[int, int]:
        return await _query(ceems, "admin", {"queryType": "units", "admin": True}, _window(30, repeat, now))

    async def units_json(ceems: CeemsPlugin, repeat: int) -> tuple[int, int]:
        first, last = _window(30, repeat, now)
        answer = await ceems.resource("admin", "units/admin", f"from={first}&to={last}")
        return answer.body.count(b'"uuid":'), len(answer.body)

    async def stats(ceems: CeemsPlugin, repeat: int) -> tuple[int, int]:
        return await _query(ceems, "admin", {"queryType": "stats", "admin": True}, _window(30, repeat, now))

    async def own(ceems: CeemsPlugin, repeat: int) -> tuple[int, int]:
        return await _query(ceems, user, {"queryType": "units"}, _window(1, repeat, now))

    def units_baseline(base: Baseline, repeat: int) -> int:
        return base.units(_local(_window(30, repeat, now), "%Y-%m-%dT%H:%M:%S%z"))

    return [
        usage(30, SEVEN),
        usage(365, SEVEN),
        usage(30, METRICS),
        Question("units, 30 days, to frames", 10, units_frames, units_baseline),
        Question("units, 30 days, to JSON", 10, units_json, units_baseline),
        Question(
            "stats, 30 days",
            100,
            stats,
            lambda base, repeat: base.stats(_local(_window(30, repeat, now), "%Y-%m-%dT%H:%M:%S%z")),
        ),
        Question(
            "one user's last day",
            0,
            own,
            lambda base, repeat: base.own_day(
                user, (_window(1, repeat, now)[0] * 1000, _window(1, repeat, now)[1] * 1000)
            ),
        ),
    ]


async def _query(ceems: CeemsPlugin, login: str, model: dict[str, Any], window: tuple[int, int]) -> tuple[int, int]:
    response = (await ceems.query(login, {"A": model}, (window[0] * 1000, window[1] * 1000)))["A"]
    if response.error:
        raise RuntimeError(response.error)
    # Rows are not counted here: reading the frame is the panel's work, not the plugin's.
    return len(response.frames), sum(map(len, response.frames))


async def measure(ceems: CeemsPlugin, question: Question, repeats: int) -> Timing:
    """Ask once to warm up, then so many times."""
    await question.plugin(ceems, repeats + 1)
    timing = Timing([])
    for repeat in range(repeats):
        started = time.perf_counter()
        timing.rows, timing.bytes = await question.plugin(ceems, repeat)
        timing.milliseconds.append((time.perf_counter() - started) * 1000)
    return timing


def measure_baseline(base: Baseline, question: Question, repeats: int) -> Timing:
    """Ask the plain statements so many times."""
    timing = Timing([])
    for repeat in range(repeats):
        started = time.perf_counter()
        timing.rows = question.baseline(base, repeat)
        timing.milliseconds.append((time.perf_counter() - started) * 1000)
    return timing


def memory(pid: int) -> tuple[float, float]:
    """Return resident memory of a process in MiB, now and at its highest."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(values["VmRSS"]) / 1024, int(values["VmHWM"]) / 1024


def database(units: int, days: int) -> tuple[Path, int]:
    """Return a database of that size, made once, and the moment at which it ends."""
    path = ROOT / "build" / "bench" / f"ceems-{units}-{days}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _out.print(f"making a database of {units:,} units over {days} days ...")
        write_demo_database(path, units=units, days=days)
    return path, int(path.stat().st_mtime)


async def settle(ceems: CeemsPlugin) -> float:
    """Wait until questions are answered from the mirror; return for how many seconds."""
    started = time.perf_counter()
    while time.perf_counter() - started < 300:
        answer = await ceems.plugin.call("Diagnostics.CheckHealth", _health(ceems))
        if b'"mirror":"fresh"' in answer.jsonDetails.replace(b" ", b""):
            break
        await asyncio.sleep(0.2)
    return time.perf_counter() - started


def _health(ceems: CeemsPlugin) -> Any:  # noqa: ANN401 - generated
    return pb.CheckHealthRequest(pluginContext=ceems.asker("admin").context())


async def main(options: argparse.Namespace) -> int:
    """Measure everything and print it."""
    path, now = database(options.units, options.days)
    base = Baseline(path)
    user = base.busiest_user()
    table = Table("question", "plain SQL ms", "plugin ms", "ratio", "goal", "MB", box=None, title=path.name)
    async with ceems_plugin(path) as ceems:
        seconds = await settle(ceems)
        _out.print(f"mirror ready after {seconds:.1f} s")
        for question in questions(now, user):
            ours = await measure(ceems, question, options.repeats)
            plain = measure_baseline(base, question, options.baseline_repeats)
            ratio = plain.median / ours.median
            goal = f"{question.goal:g}" if question.goal else "+5 ms"
            table.add_row(
                question.name,
                f"{plain.median:,.1f}",
                f"{ours.median:,.1f}",
                f"{ratio:,.1f}",
                goal,
                f"{ours.bytes / 1e6:,.2f}",
            )
        resident, highest = memory(ceems.plugin.process.pid)
    _out.print(table)
    _out.print(f"memory of the plugin process: {resident:.0f} MiB, at most {highest:.0f} MiB")
    for size in options.sizes:
        await by_size(size, options)
    for clients in options.clients:
        await by_clients(path, now, user, clients)
    return 0


async def by_size(size: int, options: argparse.Namespace) -> None:
    """Print what usage and stats cost in a database of another size."""
    path, now = database(size, options.days)
    base = Baseline(path)
    async with ceems_plugin(path) as ceems:
        await settle(ceems)
        for question in questions(now, base.busiest_user()):
            ours = await measure(ceems, question, 3)
            _out.print(f"{size:>10,} units: {question.name:45} {ours.median:10,.1f} ms")


async def by_clients(path: Path, now: int, user: str, clients: int) -> None:
    """Print how long clients wait that ask side by side, each the small and the heavy questions in turn."""
    async with ceems_plugin(path) as ceems:
        await settle(ceems)
        asked = questions(now, user)
        heavy, small = asked[0], asked[-1]
        waits: dict[str, list[float]] = {heavy.name: [], small.name: []}

        async def client(number: int) -> None:
            for turn in range(6):
                question = heavy if turn % 3 == 0 else small
                started = time.perf_counter()
                await question.plugin(ceems, number * 7 + turn)
                waits[question.name].append((time.perf_counter() - started) * 1000)

        await asyncio.gather(*map(client, range(clients)))
        for name, found in waits.items():
            ordered = sorted(found)
            last = ordered[int(len(ordered) * 0.99)]
            _out.print(
                f"{clients:>3} clients: {name:45} median {statistics.median(ordered):9,.1f} ms, p99 {last:9,.1f} ms"
            )


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--baseline-repeats", type=int, default=2)
    parser.add_argument("--sizes", type=_numbers, default=[10_000, 100_000])
    parser.add_argument("--clients", type=_numbers, default=[1, 8, 32])
    sys.exit(asyncio.run(main(parser.parse_args())))
