"""The command ``ceems-grpc migrate-dashboard``."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ceems_grpc.migrate.report import Json

BAD_INPUT, SOMETHING_LEFT = 1, 2


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
        help="ask as an administrator only where the user is one, in place of /admin",
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


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from ceems_grpc.migrate.dashboards.migration import NotADashboardError, migrate  # noqa: PLC0415 - pyarrow comes with it
    from ceems_grpc.migrate.panels.panel import Options  # noqa: PLC0415 - as above

    settings = Options(
        datasource_uid=options.datasource_uid,
        admin_auto=options.admin_auto,
        short_links=options.short_links,
        unit_dashboard=options.unit_dashboard,
        only_uids=tuple(options.infinity_uid),
    )
    try:
        migration = migrate(_read(options.file), settings)
        if not options.check:
            _write(migration.dashboard, options.output)
    except OSError as error:
        return _fail(f"{error.filename or options.file}: {error.strerror or error}")
    except (ValueError, RecursionError) as error:
        return _fail(f"{options.file}: no JSON: {error}")
    except NotADashboardError as error:
        return _fail(f"{options.file}: {error}")
    for finding in migration.findings:
        print(finding, file=sys.stderr)  # noqa: T201 - a person reads it
    return SOMETHING_LEFT if migration.left else 0


def _fail(message: str) -> int:
    print(f"ceems-grpc migrate-dashboard: {message}", file=sys.stderr)  # noqa: T201 - a person reads it
    return BAD_INPUT


def _read(file: str) -> object:
    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    document: object = json.loads(text.decode("utf-8-sig"))
    return document


def _write(dashboard: "Json", output: str | None) -> None:
    text = json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    path = Path(output).resolve()
    # Written beside and moved over: the output may be the input, and a full disk must not cost it.
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False, suffix=".part") as file:
        try:
            file.write(text)
            file.close()
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(file.name, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask)  # noqa: PTH101
            os.replace(file.name, path)  # noqa: PTH105
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
