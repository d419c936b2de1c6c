"""`ceems-grpc demo`: shows all steps from a database to answers, without Grafana."""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceems_grpc.cli.demo_db import describe, write
from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.host import PluginHost
from ceems_grpc.cli.output.charts import print_charts
from ceems_grpc.cli.output.decoded_frame import decode, notices
from ceems_grpc.cli.output.tables import print_table
from ceems_grpc.cli.output.terminal import open_console
from ceems_grpc.cli.output.values import text_of
from ceems_grpc.pb import pluginv2_pb2

if TYPE_CHECKING:
    from rich.console import Console

_PATH = Path("demo/ceems.db")
_YOUNG = timedelta(minutes=30)
_LOGIN = "admin"  # the first user of a new Grafana, and an administrator of CEEMS in the demo database
_FROM_THE_WEB = re.compile(r"\s*@font-face \{.*?\}|\s*<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Step:
    """A query of the demo, over a number of days until now."""

    title: str
    days: int
    query: dict[str, Any]


_STEPS = (
    _Step(
        "Units: the jobs, VMs and pods that ended last",
        1,
        {
            "queryType": "units",
            "admin": True,
            "fields": ["ended_at", "cluster_id", "name", "username", "elapsed", "total_energy_usage_kwh"],
            "orderBy": ["-ended_at"],
            "limit": 6,
        },
    ),
    _Step(
        "Usage: who used how much in 30 days",
        30,
        {
            "queryType": "usage",
            "source": "prorated",
            "admin": True,
            "fields": [
                *("project", "username", "num_units", "avg_cpu_usage", "avg_gpu_usage"),
                *("total_energy_usage_kwh", "total_emissions_gms.rte_total"),
            ],
            "orderBy": ["-total_energy_usage_kwh.total"],
            "limit": 6,
        },
    ),
    _Step("Stats: how much there is, per cluster, in 30 days", 30, {"queryType": "stats", "admin": True}),
    _Step(
        "Usage over time: energy per day and cluster, 30 days",
        30,
        {
            "queryType": "usage-over-time",
            "admin": True,
            "source": "units",
            "timezone": "UTC",
            "groupBy": ["cluster_id"],
            "fields": ["total_energy_usage_kwh"],
        },
    ),
)


def run(options: argparse.Namespace) -> int:
    """Write the database if needed, start the plugin, query it, and print the answers."""
    console = open_console(record=options.svg is not None)
    console.print(_database(options), markup=False)
    settings = {"path": str(_PATH.absolute())}
    begin = time.monotonic()
    with PluginHost(settings, _LOGIN) as host:
        console.print(f"The plugin started in {time.monotonic() - begin:.2f} s. Its handshake: {host.handshake}")
        _heading(console, "Health: what 'Save & test' says")
        health = host.check_health()
        if health.status != pluginv2_pb2.CheckHealthResponse.OK:
            raise CommandError(f"The plugin is not healthy: {health.message}")
        console.print(f"OK. {health.message}", style="green", markup=False)
        for step in _STEPS:
            _show(console, host, step)
        code = host.stop()
    if code != 0:
        raise CommandError(f"The plugin did not stop on request (exit code {code}).")
    console.print(
        f"\nThe plugin stopped on request. To ask more: ceems-grpc query {_PATH} --help", markup=False, soft_wrap=True
    )
    if options.svg is not None:
        _save_picture(console, Path(options.svg))
    return 0


def _show(console: Console, host: PluginHost, step: _Step) -> None:
    _heading(console, step.title)
    console.print(json.dumps(step.query), style="dim", markup=False)
    now = datetime.now(UTC)
    begin = time.monotonic()
    frames = host.query(step.query, now - timedelta(days=step.days), now)
    took = time.monotonic() - begin
    decoded = decode(frames)
    if step.query["queryType"] == "usage-over-time":
        console.print()
        print_charts(console, decoded)
    else:
        for frame in decoded:
            print_table(console, frame)
    for text in notices(decoded):
        console.print(f"Notice: {text}", style="yellow", markup=False)
    size = sum(map(len, frames)) / 1000
    console.print(
        f"{len(frames)} data frame{'s' * (len(frames) != 1)}, {size:,.1f} kB of Arrow, in {took * 1000:.0f} ms.",
        style="dim",
    )


def _heading(console: Console, title: str) -> None:
    console.print()
    console.rule(f"[bold]{title}", align="left", characters="─")


def _database(options: argparse.Namespace) -> str:
    """Write the database if needed. Return a sentence about it."""
    try:
        age = datetime.now(UTC) - datetime.fromtimestamp(_PATH.stat().st_mtime, UTC)
    except OSError:
        age = None
    if options.keep:
        if age is None:
            raise CommandError(f"There is no {_PATH} to keep: leave out --keep to write one.")
        return f"{_PATH} is used unchanged."
    if age is not None and age < _YOUNG and _count() == options.units:
        old = text_of(max(0.0, age.total_seconds()), "s")
        return f"{_PATH} was written {old} ago and has {options.units:,} units: it is reused."
    try:
        _PATH.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise CommandError(f"The folder {_PATH.parent} cannot be created: {error.strerror}.") from None
    begin = time.monotonic()
    summary = write(_PATH, units=options.units, overwrite=True)
    return f"Wrote {describe(summary)} It took {time.monotonic() - begin:.1f} s."


def _count() -> int | None:
    """Return the number of units in the database; None if it cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{_PATH}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM units").fetchone()[0])
    except sqlite3.Error:
        return None


def _save_picture(console: Console, path: Path) -> None:
    # Rich refers to a web font. The picture must not load anything, and any font of fixed width will do.
    picture = _FROM_THE_WEB.sub("", console.export_svg(title="make demo"))
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
