"""Options of ``ceems-grpc migrate-dashboard``."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:  # noqa: ANN401 - argparse does not name the type publicly
    """Add the command to what ``ArgumentParser.add_subparsers`` returned."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "migrate-dashboard",
        help="rewrite a dashboard that reads the CEEMS API through the Infinity data source",
        description="Rewrite the panels and variables of a dashboard that read the REST API of CEEMS through the "
        "Infinity data source (yesoreyeram-infinity-datasource) to the CEEMS data source. Everything else stays. "
        "What could not be rewritten stays as well and is listed on standard error.",
        epilog="Exit code: 0 all of it was rewritten, 2 something was left, 1 the file could not be read or written.",
    )
    parser.add_argument("file", metavar="FILE.json", help="the dashboard, as Grafana exports it; '-': standard input")
    parser.add_argument("-o", "--output", metavar="OUT.json", help="where to write it (default: standard output)")
    parser.add_argument("--check", action="store_true", help="write nothing, only say what would be left")
    parser.add_argument("--datasource-uid", default="", metavar="UID", help="uid of the CEEMS data source")
    parser.add_argument(
        "--infinity-uid",
        action="append",
        default=[],
        metavar="UID",
        help="rewrite only what asks this Infinity data source (may be given again)",
    )
    parser.add_argument(
        "--admin-auto",
        action="store_true",
        help="ask as an administrator only if the user is one, in place of /admin",
    )
    parser.add_argument(
        "--short-links",
        action="store_true",
        help="links that carry a unit's facts as URL variables become links by uuid and cluster",
    )
    parser.add_argument(
        "--unit-dashboard", default="ceems-unit", metavar="UID", help="where short links go (default: ceems-unit)"
    )
    return parser
