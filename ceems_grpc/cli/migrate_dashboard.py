"""The command ``ceems-grpc migrate-dashboard``: reads and writes the files of `ceems_grpc.migrate`."""

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path

from ceems_grpc.cli.output.escaping import visible, visible_json
from ceems_grpc.migrate.dashboards.migration import NotADashboardError, migrate
from ceems_grpc.migrate.panels.panel import Options
from ceems_grpc.migrate.report import Json

BAD_INPUT, SOMETHING_LEFT = 1, 2
_SURROGATE = re.compile("[\ud800-\udfff]")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
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
        print(visible(str(finding)), file=sys.stderr)  # noqa: T201 - a person reads it
    return SOMETHING_LEFT if migration.left else 0


def _fail(message: str) -> int:
    print(visible(f"ceems-grpc migrate-dashboard: {message}"), file=sys.stderr)  # noqa: T201 - a person reads it
    return BAD_INPUT


def _read(file: str) -> object:
    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    document: object = json.loads(text.decode("utf-8-sig"))
    return document


def _write(dashboard: Json, output: str | None) -> None:
    text = json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
    # Half of a surrogate pair is possible in JSON as an escape, but not in UTF-8.
    text = _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    if output is None:
        sys.stdout.write("\n".join(map(visible_json, text.split("\n"))) if sys.stdout.isatty() else text)
        return
    path = Path(output).resolve()
    # A new file replaces the old one at the end: the output may be the input, which a full disk must not destroy.
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
