"""Measures ten sites in PostgreSQL, with their units on two shards, and the mirror of one of them.

    python -m bench.scale [--units 10000000] [--repeats 7] [--clients 1,32] [--make]

The data is created once, in build/bench/scale-UNITS (see `scale_data`), from a database with a tenth of the units.
Then the real plugin process answers every query three times: from PostgreSQL with its sums per hour and day, without
them, and from the mirror of the file that was fed. Windows differ between repetitions. Times are wall time.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Timing, forget_peak, memory
from bench.questions import Got
from bench.run import BUILD, database, empty, settle
from bench.scale_data import SITES, UPDATED_UNITS, Made, load_made, make
from bench.scale_plans import explained
from bench.scale_questions import ScaleQuestion, scale_questions
from bench.scale_servers import kept_servers, point_at_shards, size
from tests.load.report import quantile
from tests.support.plugin.ceems import COMMAND, CeemsPlugin, ceems_plugin
from tests.support.plugin.process import running
from tests.support.postgres.servers import Shards, binaries
from tests.support.postgres.setup import READER

_DAYS = 365
_PATIENCE = 600.0  # seconds allowed for an answer
_NO_LIMIT = "10m"
_out = Console(width=150)


async def main(options: argparse.Namespace) -> int:
    """Create the data if it does not exist, measure, and print."""
    if binaries() is None:
        _out.print("PostgreSQL is not installed (Debian: apt install postgresql).")
        return 1
    folder = BUILD / f"scale-{options.units}"
    made = load_made(folder)
    if made is None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    with kept_servers(folder) as servers:
        if made is None:
            _out.print(f"making {options.units:,} units of {SITES} sites on two shards ...")
            source, _ = database(options.units // SITES, _DAYS)
            made = make(folder, source, servers)
        if not options.make:
            point_at_shards(servers, made.database)
            await _measure(options, folder / "ceems.db", servers, made)
    return 0


async def _measure(options: argparse.Namespace, file: Path, servers: Shards, made: Made) -> None:
    _print_made(servers, made)
    ((user,),) = servers.coordinator.rows(
        "SELECT username FROM ceems.usage WHERE site = 'site-0' GROUP BY 1 ORDER BY sum(num_units) DESC LIMIT 1",
        made.database,
    )
    asked = scale_questions(made.now, str(user))
    answers: dict[str, list[Timing | None]] = {}
    for rollups in (True, False):
        _use_rollups(servers, made.database, used=rollups)
        async with _postgres_plugin(servers, made.database) as ceems:
            for question in asked:
                timing = await _ask(ceems, question, options.repeats) if rollups or question.summed else None
                answers.setdefault(question.name, []).append(timing)
        _print_plan(await explained(_url(servers, made), READER, made.now, _DAYS), rollups=rollups)
    _use_rollups(servers, made.database, used=True)
    mirror = {"folder": str(empty(BUILD / "mirror-scale"))}
    async with ceems_plugin(file, mirror=mirror, queryTimeout=_NO_LIMIT) as ceems:
        ceems.plugin.patience = _PATIENCE
        _out.print(f"mirror of the file ready after {await settle(ceems):.1f} s")
        for question in asked:
            answers[question.name].append(await _ask(ceems, question, options.repeats))
    _print_answers(answers, made)
    for clients in options.clients:
        async with _postgres_plugin(servers, made.database) as ceems:
            await _by_clients(ceems, asked, clients)


@asynccontextmanager
async def _postgres_plugin(servers: Shards, name: str) -> AsyncIterator[CeemsPlugin]:
    """Run the plugin with a data source in PostgreSQL."""
    settings = {"postgres": servers.coordinator.url(name, "ceems_reader"), "queryTimeout": _NO_LIMIT}
    async with running(COMMAND) as plugin:
        plugin.patience = _PATIENCE
        yield CeemsPlugin(plugin, settings, {"postgresPassword": READER})


async def _ask(ceems: CeemsPlugin, question: ScaleQuestion, repeats: int) -> Timing:
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


async def _by_clients(ceems: CeemsPlugin, asked: list[ScaleQuestion], clients: int) -> None:
    """Print how long parallel clients wait; each runs all queries in its own order."""
    waits: dict[str, list[float]] = {question.name: [] for question in asked}
    await asked[0].plugin(ceems, clients + 1)

    async def client(number: int) -> None:
        for turn in range(len(asked)):
            question = asked[(number + turn) % len(asked)]
            started = time.perf_counter()
            await question.plugin(ceems, number)
            waits[question.name].append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    await asyncio.gather(*map(client, range(clients)))
    seconds = time.perf_counter() - started
    for name, found in waits.items():
        _out.print(
            f"{clients:>3} clients: {name:40} median {statistics.median(found):10,.1f} ms,"
            f" p95 {quantile(found, 0.95):10,.1f} ms"
        )
    _out.print(f"{clients:>3} clients: {clients * len(asked) / seconds:.1f} answers a second")


def _use_rollups(servers: Shards, name: str, *, used: bool) -> None:
    """Turn the readers' use of the sums per hour and day on or off."""
    servers.coordinator.run(f"UPDATE ceems.sites SET rollups = {used}", database=name)  # noqa: S608 - a constant


def _url(servers: Shards, made: Made) -> str:
    return servers.coordinator.url(made.database, "ceems_reader")


def _print_made(servers: Shards, made: Made) -> None:
    _out.print(
        f"{made.units:,} units. First fill: {made.fed_rows:,} rows in {made.fed:,.0f} s, that is"
        f" {made.fed_rows / made.fed:,.0f} rows a second. An update of {UPDATED_UNITS:,} units is shown after"
        f" {statistics.median(made.updates):,.0f} ms (at most {max(made.updates):,.0f})."
    )
    _out.print(
        f"Nine sites copied within the shards in {made.copied:,.0f} s, indexed in {made.indexed:,.0f} s, summed up per"
        f" hour and day in {made.summed:,.0f} s."
    )
    for title, names in (
        ("units", "units_p%"),
        ("units_hourly", "units_hourly"),
        ("units_daily", "units_daily"),
        ("all tables", "%"),
    ):
        _out.print(f"{title:13} {size(servers, made.database, names) / 2**20:10,.0f} MiB on disk, indexes included")


def _print_plan(lines: list[str], *, rollups: bool) -> None:
    _out.print(f"plan of the sums of {_DAYS} days, {'with' if rollups else 'without'} those per hour and day:")
    for line in lines:
        _out.print(f"    {line}", markup=False, highlight=False, no_wrap=True)


def _print_answers(answers: dict[str, list[Timing | None]], made: Made) -> None:
    title = f"{made.units:,} units on two shards, and the mirror of a file with {made.units // SITES:,} of them"
    table = Table(title=title, box=None)
    table.add_column("question")
    columns = ("ms", "p95", "rows", "MB", "peak MiB", "no rollups ms", "p95", "mirror ms", "rows", "ratio")
    for name in columns:
        table.add_column(name, justify="right")
    for question, (ours, plain, mirror) in answers.items():
        if ours is None or mirror is None:
            raise ValueError("every question is asked with sums and of the mirror")
        table.add_row(
            question,
            *(f"{ours.median:,.1f}", f"{quantile(ours.milliseconds, 0.95):,.1f}"),
            *(f"{ours.rows:,}", f"{ours.bytes / 1e6:,.2f}", f"{ours.peak:,.0f}"),
            *(("", "") if plain is None else (f"{plain.median:,.1f}", f"{quantile(plain.milliseconds, 0.95):,.1f}")),
            *(f"{mirror.median:,.1f}", f"{mirror.rows:,}", f"{ours.median / mirror.median:.1f}"),
        )
    _out.print(table)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--clients", type=_numbers, default=[1, 32])
    parser.add_argument("--make", action="store_true", help="create the data, and measure nothing")
    sys.exit(asyncio.run(main(parser.parse_args())))
