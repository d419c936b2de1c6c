"""`ceems-grpc query`: asks a database the question of a panel."""

import argparse
import asyncio
import io
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ceems_grpc.cli.ask import open_database
from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.moments import moment, needs_zone
from ceems_grpc.cli.output.decoded_frame import DecodedFrame, notices
from ceems_grpc.cli.output.escaping import visible
from ceems_grpc.cli.output.export import write_csv, write_json
from ceems_grpc.panels.query_versions import CURRENT

# A table has room for a few columns only; CSV and JSON show all of them.
_ROWS_OF_A_TABLE = 50
_FIELDS_OF_A_TABLE = {
    "units": ["cluster_id", "uuid", "username", "ended_at", "total_energy_usage_kwh"],
    "usage": ["project", "username", "num_units", "avg_cpu_usage", "avg_gpu_usage", "total_energy_usage_kwh"],
}
_MORE_FIELDS = "More columns: name them with --fields A,B; --format csv or json has all of them."


def run(options: argparse.Namespace) -> int:
    """Ask, and print the answer on standard output. The notices of CSV and JSON go to standard error."""
    query = _query(options)
    kind = query.get("queryType", "units")
    form = options.format or ("plot" if kind == "usage-over-time" else "table")
    shortened = form == "table" and _shorten(query, kind)
    named = _zone(options.timezone)
    if options.safe_csv and form != "csv":
        raise CommandError("--safe-csv goes with --format csv.")
    frames = asyncio.run(_ask(options, query, named))
    zone = named or UTC
    if form in {"csv", "json"} and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the locale: other programs expect it
    if form == "csv":
        write_csv(frames, sys.stdout, zone, safe=options.safe_csv)
    elif form == "json":
        write_json(frames, sys.stdout, zone)
    else:
        _show(frames, zone, plot=form == "plot")
        if shortened and any(frame.num_rows for frame in frames):
            print(_MORE_FIELDS)  # noqa: T201 - a person reads it
        return 0
    for text in notices(frames):
        print(f"Notice: {visible(text)}", file=sys.stderr)  # noqa: T201 - a person reads it
    return 0


async def _ask(options: argparse.Namespace, query: dict[str, Any], named: ZoneInfo | None) -> tuple[DecodedFrame, ...]:
    now = datetime.now(UTC)
    zone: tzinfo = named or UTC
    async with open_database(Path(options.path), options.user, options.timezone) as asker:
        if named is None and (needs_zone(options.start) or needs_zone(options.end)):
            zone = await asker.site_zone()
        start, end = moment(options.start, now, zone), moment(options.end, now, zone, end=True)
        if start > end:
            shown = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
            raise CommandError(f"The time range ends before it starts: {shown}.")
        return await asker.ask(query, start, end)


def _show(frames: Sequence[DecodedFrame], zone: tzinfo, *, plot: bool) -> None:
    from ceems_grpc.cli.output.charts import print_charts  # noqa: PLC0415 - not for csv and json
    from ceems_grpc.cli.output.tables import print_table  # noqa: PLC0415
    from ceems_grpc.cli.output.terminal import open_console  # noqa: PLC0415

    console = open_console()
    if plot:
        print_charts(console, frames, zone)
    else:
        for frame in frames:
            print_table(console, frame, zone)
    for text in notices(frames):
        console.print(f"Notice: {visible(text)}", style="yellow", markup=False)


def _query(options: argparse.Namespace) -> dict[str, Any]:
    text = sys.stdin.read() if options.query == "-" else options.query or "{}"
    try:
        query = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"The query is not valid JSON: {error}.") from None
    if not isinstance(query, dict):
        raise CommandError('The query must be a JSON object, such as {"queryType": "units"}.')
    lists = {"fields": options.fields, "groupBy": options.group_by, "orderBy": options.order_by}
    given = {
        "queryType": options.type,
        "mode": options.mode,
        "running": options.running or None,
        "clusters": options.cluster,
        "projects": options.project,
        "admin": options.admin or None,
        "limit": options.limit,
        "step": options.step,
        "source": options.source,
        "of": options.of,
        "bounds": _bounds(options.bounds),
        "format": "quantiles" if options.quantiles else None,
        "compare": options.compare,
        **{key: [part.strip() for part in value.split(",")] for key, value in lists.items() if value is not None},
    }
    if not options.query:
        query["version"] = CURRENT  # a query in JSON names its own version
        if options.type == "usage-over-time":
            query["step"] = "day"  # a terminal has no width that automatic steps could fit
    query |= {key: value for key, value in given.items() if value is not None}
    if options.user is None:
        query.setdefault("admin", True)  # the operator may read the whole file anyway
    return query


def _bounds(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise CommandError("--bounds must be numbers with commas between them, such as 1,10,100.") from None


def _shorten(query: dict[str, Any], kind: object) -> bool:
    """Limit the query to what a terminal can show, unless it names more. Return whether columns are left out."""
    query.setdefault("limit", _ROWS_OF_A_TABLE)
    if kind not in _FIELDS_OF_A_TABLE or query.get("fields"):
        return False
    groups = query.get("groupBy") if isinstance(query.get("groupBy"), list) else []
    query["fields"] = list(dict.fromkeys([*(groups or []), *_FIELDS_OF_A_TABLE[str(kind)]]))
    return True


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        raise CommandError(f"Unknown time zone '{name}': use an IANA name such as Europe/Paris.") from None
