"""`ceems-grpc feed`: copies a database into PostgreSQL and follows it."""

import argparse
import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import start_http_server

from ceems_grpc.bridge.private_files import SecretFileError, read_private
from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.output.terminal import progress_bar
from ceems_grpc.feed.feeder import Feeder, FeedError, FeedSettings
from ceems_grpc.feed.loop import Pace, feed
from ceems_grpc.feed.metrics import FeedMetrics
from ceems_grpc.grafana.serve.telemetry.logs import start_logging
from ceems_grpc.store.columnar.layout import CannotMirrorError
from ceems_grpc.store.columnar.local_time import named_zone
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.postgres.connection import Address
from ceems_grpc.store.postgres.schema import setup_statements, shard_statements

_log = logging.getLogger(__name__)
_LONGEST_NAME = 60
_LONGEST_SCHEMA = 40
_TELL_SECONDS = 5.0


class _StoppedError(Exception):
    """The process was stopped while it wrote many rows. The rows that are written stay."""


def run(options: argparse.Namespace) -> int:
    """Feed until the process is stopped, or print the statements of the set-up."""
    _check_schema(options.schema)
    if options.print_setup:
        print(_setup(options), end="")  # noqa: T201 - the output of the command
        return 0
    settings = _settings(options)
    start_logging({"GF_PLUGIN_LOG_LEVEL": options.log_level})
    if options.metrics:
        _serve_metrics(options.metrics)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _feed(settings, Pace(options.interval, options.once, options.wait), stop)
    except StoreError as error:
        raise CommandError(error.detail) from None
    except (FeedError, CannotMirrorError, OSError) as error:
        raise CommandError(str(error)) from None
    except _StoppedError:
        pass
    return 0


def _feed(settings: FeedSettings, pace: Pace, stop: threading.Event) -> None:
    with progress_bar("Rows") as show:
        progress = _Progress(show, stop)
        feeder = Feeder(settings, progress=lambda seen: progress.tell(seen, feeder.units))
        with closing(feeder):
            feed(feeder, pace, FeedMetrics(settings.site), stop)


class _Progress:
    """Shows the progress of a copy: a bar on a terminal, otherwise a line in the log from time to time."""

    def __init__(self, show: Callable[[int, int], None] | None, stop: threading.Event) -> None:
        self._show = show
        self._stop = stop
        self._told = time.monotonic()

    def tell(self, seen: int, units: int) -> None:
        """Report the number of rows that were compared. Raises `_StoppedError` if the process was stopped."""
        if self._stop.is_set():
            raise _StoppedError
        if self._show is not None:
            self._show(seen, max(seen, units))
        elif time.monotonic() - self._told > _TELL_SECONDS:
            self._told = time.monotonic()
            _log.info("rows were compared", extra={"rows": seen, "units": units})


def _settings(options: argparse.Namespace) -> FeedSettings:
    if not options.database or not options.to:
        raise CommandError("Give --database (the file to follow) and --to (the URL of PostgreSQL).")
    if not options.site or len(options.site) > _LONGEST_NAME or "\0" in options.site:
        raise CommandError(f"The name of a site must have 1 to {_LONGEST_NAME} characters.")
    path = Path(options.database).absolute()
    zone = None
    if options.timezone and (zone := named_zone(options.timezone)) is None:
        raise CommandError(f"There is no time zone '{options.timezone}': use a name such as Europe/Paris.")
    return FeedSettings(
        path=path / "ceems.db" if path.is_dir() else path,
        address=_address(options),
        site=options.site,
        schema=options.schema,
        zone=zone,
        keep_history=options.keep_history,
    )


def _address(options: argparse.Namespace) -> Address:
    wanted = "write postgresql://user@host:5432/database"
    try:
        parts = urlsplit(options.to)
        has_password = parts.password is not None or "password=" in parts.query
    except ValueError:
        raise CommandError(f"'--to' is not a database URL: {wanted}.") from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise CommandError(f"'--to' is not a URL of PostgreSQL: {wanted}.")
    if has_password:
        raise CommandError(
            "The URL contains a password, which every user of this host could read in the list of processes. Put it "
            "into a file (--password-file), into ~/.pgpass or into the environment variable PGPASSWORD."
        )
    password = ""  # none  # nosec B105
    if options.password_file:
        try:
            password = read_private(Path(options.password_file)).decode().strip()
        except (SecretFileError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from None
    return Address(options.to, password, uses_home=True)


def _check_schema(schema: str) -> None:
    if not schema.isascii() or not schema.replace("_", "a").isalnum() or len(schema) > _LONGEST_SCHEMA:
        raise CommandError(f"The name of a schema must have up to {_LONGEST_SCHEMA} letters, digits and underscores.")


def _setup(options: argparse.Namespace) -> str:
    shards = [name for name in options.shards.split(",") if name]
    if len(set(shards)) != len(shards):
        raise CommandError("--shards names a server twice.")
    if options.on:
        if options.on not in shards:
            raise CommandError("--on must be one of the names in --shards.")
        statements = shard_statements(options.schema, shards, options.on)
    else:
        try:
            statements = setup_statements(options.schema, shards, citus=options.citus)
        except ValueError as error:
            raise CommandError(f"{error}.") from None
    return "BEGIN;\n" + "".join(f"{statement.strip()};\n" for statement in statements) + "COMMIT;\n"


def _serve_metrics(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    try:
        start_http_server(int(port), host.strip("[]") or "127.0.0.1")
    except (ValueError, OverflowError):
        raise CommandError("--metrics takes HOST:PORT, such as 127.0.0.1:9105.") from None
    except OSError as error:
        raise CommandError(f"Metrics cannot be served on {listen}: {error.strerror or error}.") from None
