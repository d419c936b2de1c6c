"""Runs the queries through the real plugin process and as plain SQL, and prints medians and ratios.

    python -m bench.run [--units 1000000] [--days 365] [--repeats 7] [--sizes 10000,100000,3000000] [--clients 1,8,32]

The windows of repeated queries differ, so that no cached answer is measured. Times are wall time, as panels experience
it. Databases are created once, in build/bench; a million units take a few minutes and 1.2 GB.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.baseline import Baseline
from bench.floor import Floor
from bench.measure import Timing, measure, measure_baseline, measure_floor, memory
from bench.questions import Question, questions
from bench.update import measure_updates
from ceems_grpc.demo.database import write_demo_database
from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.load.report import quantile
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

BUILD = Path(__file__).parents[1] / "build" / "bench"
_out = Console(width=140)


async def main(options: argparse.Namespace) -> int:
    """Measure everything and print it."""
    path, now = database(options.units, options.days)
    base = Baseline(path)
    user = base.busiest_user()
    asked = questions(now, user)
    folder = empty(BUILD / "mirror")
    started = time.perf_counter()
    async with ceems_plugin(path, mirror={"folder": str(folder)}) as ceems:
        _out.print(f"start to handshake: {(time.perf_counter() - started) * 1000:.0f} ms")
        pid = ceems.plugin.process.pid
        fresh = memory(pid)[0]
        _out.print(f"mirror ready after {await settle(ceems):.1f} s")
        timings = [await measure(ceems, question, options.repeats) for question in asked]
        resident = memory(pid)[0]
    floor = Floor(folder)
    table = _table(f"{path.name}, mirror {floor.bytes / 2**20:,.0f} MiB")
    for question, ours in zip(asked, timings, strict=True):
        plain = measure_baseline(base, question, options.baseline_repeats)
        table.add_row(*_row(question, ours, plain, measure_floor(floor, question, ours, options.repeats)))
    floor.close()
    _out.print(table)
    most = max(timing.peak for timing in timings)
    _out.print(f"memory of the plugin: {fresh:.0f} MiB at start, {resident:.0f} after all, {most:.0f} at most")
    filled, updates = await measure_updates(path, empty(BUILD / "update"), options.repeats)
    _out.print(f"update of 2,000 units: the mirror shows it after {updates.median:,.0f} ms (made in {filled:.1f} s)")
    for size in options.sizes:
        await by_size(size, options)
    for clients in options.clients:
        await by_clients(path, folder, asked, clients)
    return 0


def _table(title: str) -> Table:
    table = Table(title=title, box=None)
    table.add_column("question")
    for name in ("plain SQL ms", "plugin ms", "ratio", "goal", "floor ms", "x floor", "rows", "MB", "peak MiB"):
        table.add_column(name, justify="right")
    return table


def _row(question: Question, ours: Timing, plain: Timing, floor: Timing) -> list[str]:
    if question.goal:
        compared = [f"{plain.median / ours.median:,.1f}", f"{question.goal:g}"]
    else:
        compared = [f"{ours.median - plain.median:+.1f} ms", "+5 ms"]
    least = [f"{floor.median:,.1f}", f"{ours.median / floor.median:.1f}"] if floor.milliseconds else ["", ""]
    return [
        question.name,
        f"{plain.median:,.1f}",
        f"{ours.median:,.1f}",
        *compared,
        *least,
        f"{ours.rows:,}",
        f"{ours.bytes / 1e6:,.2f}",
        f"{ours.peak:,.0f}",
    ]


def database(units: int, days: int) -> tuple[Path, int]:
    """Return a database of this size and the moment at which it ends. The database is created once."""
    path = BUILD / f"ceems-{units}-{days}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _out.print(f"making a database of {units:,} units over {days} days ...")
        write_demo_database(path, units=units, days=days)
    return path, int(path.stat().st_mtime)


def empty(folder: Path) -> Path:
    """Return an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


async def settle(ceems: CeemsPlugin) -> float:
    """Wait until the mirror answers, if one is configured; return how many seconds that took."""
    started = time.perf_counter()
    async with asyncio.timeout(600):
        while b'"mirror":"behind"' in (await _health(ceems)).replace(b" ", b""):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    return time.perf_counter() - started


async def _health(ceems: CeemsPlugin) -> bytes:
    request = pb.CheckHealthRequest(pluginContext=ceems.asker("admin").context())
    answer: Any = await ceems.plugin.call("Diagnostics.CheckHealth", request)
    return bytes(answer.jsonDetails)


async def by_size(size: int, options: argparse.Namespace) -> None:
    """Print the times of the queries in a database of another size."""
    path, now = database(size, options.days)
    user = Baseline(path).busiest_user()
    async with ceems_plugin(path, mirror={"folder": str(empty(BUILD / "mirror-size"))}) as ceems:
        _out.print(f"{size:>10,} units: mirror ready after {await settle(ceems):.1f} s")
        for question in questions(now, user):
            ours = await measure(ceems, question, 3)
            _out.print(f"{size:>10,} units: {question.name:45} {ours.median:10,.1f} ms, {ours.peak:6,.0f} MiB")


async def by_clients(path: Path, folder: Path, asked: list[Question], clients: int) -> None:
    """Print how long parallel clients wait; each alternates between the small and the heavy queries."""
    async with ceems_plugin(path, mirror={"folder": str(folder)}) as ceems:
        await settle(ceems)
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
            middle, last = statistics.median(found), quantile(found, 0.99)
            _out.print(f"{clients:>3} clients: {name:45} median {middle:9,.1f} ms, p99 {last:9,.1f} ms")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--baseline-repeats", type=int, default=2)
    parser.add_argument("--sizes", type=_numbers, default=[10_000, 100_000, 3_000_000])
    parser.add_argument("--clients", type=_numbers, default=[1, 8, 32])
    sys.exit(asyncio.run(main(parser.parse_args())))
