"""The command line: the commands and their options."""

import argparse
from collections.abc import Sequence

from ceems_grpc.cli.options.feed import add_options as add_feed_options
from ceems_grpc.cli.options.migrate_dashboard import add_parser as add_migrate_parser
from ceems_grpc.cli.options.probe import add_options as add_probe_options
from ceems_grpc.cli.options.server import add_options as add_server_options

QUERY_TYPES = ("units", "usage", "stats", "users", "projects", "clusters", "usage-over-time", "distribution")
SOURCES = ("units", "prorated", "daily")
STEPS = ("auto", "quarter-hour", "hour", "day", "week", "month")
PERIODS = ("previous", "year")
FORMATS = ("table", "plot", "csv", "json")

_QUERY_HELP = """\
Query a CEEMS database as a panel in Grafana does, and print the answer.

QUERY is the JSON of a panel's query (docs/query.md); '-' reads it from standard input. Options override
the same keys in QUERY. Without --user you are the operator, who sees all rows of the file.

examples:
  ceems-grpc query ceems.db --type units --running --from now-1d
  ceems-grpc query ceems.db --type usage --group-by project,username --fields total_energy_usage_kwh
  ceems-grpc query ceems.db --type usage-over-time --group-by cluster_id --fields total_energy_usage_kwh
  ceems-grpc query ceems.db --type distribution --of wait_seconds --quantiles --group-by cluster_id
  ceems-grpc query ceems.db --type stats --user alice --format json
  ceems-grpc query ceems.db '{"queryType": "usage", "mode": "global", "orderBy": ["-num_units"]}'
"""


def parse(version: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. ``command`` is the name of the command. Exits with status 2 if the line is wrong."""
    parser = _parser(version)
    options, rest = parser.parse_known_args(arguments)
    # argparse gives an optional argument its default as soon as an option comes before it.
    if rest and options.command == "query" and options.query is None and not rest[0].startswith("-"):
        options.query = rest.pop(0)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ceems-grpc", description="CEEMS for Grafana: the plugin that Grafana runs, and its tools."
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="run the plugin, as Grafana does (the default)")
    _demo(commands.add_parser("demo", help="start the plugin as Grafana does and show its answers"))
    _demo_db(commands.add_parser("demo-db", help="write a realistic demo database"))
    _query(
        commands.add_parser(
            "query",
            help="query a database",
            description=_QUERY_HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _check(commands.add_parser("check", help="diagnose a database file"))
    feed_help = "copy a database into PostgreSQL and follow it"
    add_feed_options(commands.add_parser("feed", help=feed_help, allow_abbrev=False))
    add_server_options(commands.add_parser("server", help="answer for Grafana on other hosts", allow_abbrev=False))
    add_probe_options(commands.add_parser("probe", help="check whether a server or a feeder answers"))
    add_migrate_parser(commands)
    return parser


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a demo database to ./demo/ceems.db, start the plugin as Grafana does, and show its answers. "
        "A database that is younger than 30 minutes and has the right number of units is reused."
    )
    parser.add_argument("--units", type=int, default=5_000, metavar="N", help="units in the database (default 5000)")
    parser.add_argument("--keep", action="store_true", help="use the existing database, regardless of its age and size")
    parser.add_argument("--svg", metavar="FILE", help="also save the output as an SVG picture")


def _demo_db(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write a database as ceems_api_server does, for an invented computing centre."
    parser.add_argument("path", metavar="PATH", help="file to write")
    parser.add_argument("--units", type=int, default=20_000, metavar="N", help="jobs, VMs and pods (default 20000)")
    parser.add_argument(
        "--days", type=int, default=120, metavar="N", help="days until now that it covers (default 120)"
    )
    parser.add_argument("--users", type=int, default=40, metavar="N", help="people (default 40)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the invented centre (default 1)")
    parser.add_argument(
        "--zone", default="Europe/Paris", metavar="Z", help="time zone of local times (default Europe/Paris)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


def _query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the database file, or the folder of ceems.db")
    parser.add_argument("query", metavar="QUERY", nargs="?", help="the query as JSON")
    question = parser.add_argument_group("question")
    question.add_argument("--type", choices=QUERY_TYPES, help="type of the query (default units)")
    question.add_argument(
        "--from", dest="start", default="now-7d", metavar="T", help="start: now-30d, 2026-11-23, 2026-11-23T08:00, ms"
    )
    question.add_argument("--to", dest="end", default="now", metavar="T", help="end; a date is the end of that day")
    question.add_argument("--mode", choices=("current", "global"), help="usage, stats: in the time range, or all time")
    question.add_argument("--running", action="store_true", help="units: also those that are still running")
    question.add_argument("--cluster", action="append", metavar="C", help="only this cluster (can be repeated)")
    question.add_argument("--project", action="append", metavar="P", help="only this project (can be repeated)")
    question.add_argument("--fields", metavar="A,B", help="columns to show, in this order")
    question.add_argument(
        "--group-by",
        metavar="A,B",
        help="group usage or distributions by these columns, for example cluster_id",
    )
    question.add_argument("--of", metavar="A", help="distribution: the field whose values are counted")
    question.add_argument(
        "--bounds", metavar="A,B", help="distribution: the bounds of buckets (default: logarithmic buckets)"
    )
    question.add_argument(
        "--quantiles", action="store_true", help="distribution: quantiles (50, 90, 95 and 99 percent) instead of counts"
    )
    question.add_argument(
        "--source",
        choices=SOURCES,
        help="what usage is summed from: whole units, their share of the time range, or days",
    )
    question.add_argument(
        "--step", choices=STEPS, help="length of a step of usage-over-time (default day) or distribution"
    )
    question.add_argument(
        "--compare",
        choices=PERIODS,
        help="usage, usage-over-time, stats: also the time range before, or the same one a year earlier",
    )
    question.add_argument("--order-by", metavar="A,B", help="sort; '-' before a name for descending (--order-by=-A)")
    question.add_argument("--limit", type=int, metavar="N", help="maximum number of rows (default 50 in tables)")
    asker = parser.add_argument_group("user")
    asker.add_argument(
        "--user", metavar="LOGIN", help="ask as this Grafana user, with the rights of that user in CEEMS"
    )
    asker.add_argument("--admin", action="store_true", help="ask as an administrator of CEEMS, if the user is one")
    parser.add_argument(
        "--timezone",
        default="",
        metavar="Z",
        help="the site's time zone, also for output (default: a guessed zone for dates, UTC for output)",
    )
    parser.add_argument("--format", choices=FORMATS, help="output format (default table; plot for usage-over-time)")
    parser.add_argument(
        "--safe-csv",
        action="store_true",
        help="CSV for spreadsheets: put an apostrophe before texts that a spreadsheet would run as formulas",
    )


def _check(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check whether the plugin can answer from a database file. If not, say why and what to do. Run it as the user "
        "that Grafana runs as: sudo -u grafana ceems-grpc check /var/lib/ceems/ceems.db"
    )
    parser.add_argument("path", metavar="PATH", help="the database file, or the folder of ceems.db")
    parser.add_argument("--timezone", default="", metavar="Z", help="the site's time zone (default: guessed)")
