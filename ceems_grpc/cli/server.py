"""`ceems-grpc server`: answers, on the host of the database, the requests of plugins on other hosts."""

import argparse
import asyncio
import json
import os
from pathlib import Path

from ceems_grpc.bridge.listening import ListenAddress, ListenError
from ceems_grpc.bridge.private_files import SecretFileError
from ceems_grpc.bridge.server import ServerSettings, run_server
from ceems_grpc.bridge.server_tls import TlsFiles
from ceems_grpc.bridge.sharing import ServerPolicy, SharedDatabase
from ceems_grpc.bridge.store_service import StoreLimits, StoreService
from ceems_grpc.cli.errors import CommandError
from ceems_grpc.grafana.serve.telemetry.logs import start_logging
from ceems_grpc.grafana.serve.telemetry.tracing import start_tracing, stop_tracing
from ceems_grpc.grafana.serve.threads import share_fairly
from ceems_grpc.settings import Settings, SettingsError
from ceems_grpc.store.runtime.umask import keep_new_files_private
from ceems_grpc.version import VERSION

_FLUSH_SECONDS = 2.0
_TOO_LARGE = 2048
_MEBIBYTE = 1024 * 1024


def run(options: argparse.Namespace) -> int:
    """Serve until the process is stopped."""
    start_logging({"GF_PLUGIN_LOG_LEVEL": options.log_level})
    start_tracing(os.environ, name="CEEMS bridge server", version=VERSION)
    try:
        keep_new_files_private()
        asyncio.run(_serve(server_settings(options), policy_of(options)))
    except (ListenError, SecretFileError, SettingsError) as error:
        raise CommandError(str(error)) from None
    finally:
        stop_tracing(_FLUSH_SECONDS)
    return 0


async def _serve(settings: ServerSettings, own: ServerPolicy) -> None:
    share_fairly()
    settings.check()
    database = SharedDatabase(own)
    try:
        await database.log_facts()
        store_service = StoreService(database.store, database.queue, _limits(settings, own))
        await run_server(settings, database, [store_service.handler()])
    finally:
        await database.close()


def server_settings(options: argparse.Namespace) -> ServerSettings:
    """Return the settings for listening and authentication."""
    files = (options.tls_cert, options.tls_key, options.client_ca)
    if options.plain_text:
        if any(files):
            raise CommandError("--plain-text means no TLS: leave out --tls-cert, --tls-key and --client-ca.")
        tls = None
    elif options.tls_cert and options.tls_key:
        tls = TlsFiles(Path(options.tls_cert), Path(options.tls_key), _path(options.client_ca))
    else:
        raise CommandError("Give --tls-cert and --tls-key. On a loopback address, --plain-text is possible instead.")
    return ServerSettings(
        listen=ListenAddress.read(options.listen),
        tls=tls,
        token_file=_path(options.token_file),
        client_names=frozenset(options.client_name),
        largest_request=_size(options.max_request_size),
        largest_answer=_size(options.max_answer_size),
    )


def _limits(settings: ServerSettings, own: ServerPolicy) -> StoreLimits:
    timeout = own.settings.query_timeout
    return StoreLimits(
        rows=own.settings.row_limit,
        seconds=None if timeout is None else timeout.total_seconds(),
        message=settings.largest_answer * _MEBIBYTE,
    )


def policy_of(options: argparse.Namespace) -> ServerPolicy:
    """Return the settings of the database and its limits."""
    described = {
        "path": str(Path(options.database).absolute()),
        "timezone": options.timezone,
        "mirror": {"mode": options.mirror, "folder": options.mirror_folder},
        "maxQueryWindow": options.max_query_window,
        "rowLimit": options.row_limit,
        "queryTimeout": options.query_timeout,
        "memoryLimit": options.memory_limit,
    }
    settings = Settings.from_json(json.dumps(described).encode())
    return ServerPolicy(settings, roles=not options.ignore_admin_role, service_users=not options.ignore_service_user)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _size(mebibytes: int) -> int:
    if not 0 < mebibytes < _TOO_LARGE:
        raise CommandError(f"A size must be from 1 to {_TOO_LARGE - 1} MiB: gRPC does not support larger messages.")
    return mebibytes
