"""Creates the store of one or several sources."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from ceems_grpc.store.protocols import Store
from ceems_grpc.store.runtime.memory_budget import BUDGET, MEBIBYTE
from ceems_grpc.store.sources import BridgeSource, FileSource, PostgresSource, Source
from ceems_grpc.store.sqlite.store import SqliteStore

_MIRROR_FROM = 32 * 1024 * 1024  # bytes; smaller databases are fast enough without a mirror

MirrorMode = Literal["auto", "memory", "off"]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Options for the creation of stores.

    ``mirror_mode``: whether a database file gets a mirror, and whether it is in memory. ``mirror_folder``: the folder
    of mirrors; None means the cache folder of the process's user. ``source_timeout``: how long each of several sources
    may take; None means as long as the question. ``fail_on_missing_source``: whether a question fails if one of
    several sources does not answer.
    """

    mirror_mode: MirrorMode = "auto"
    mirror_folder: Path | None = None
    source_timeout: timedelta | None = None
    fail_on_missing_source: bool = False


def create_store(sources: Sequence[Source], options: StoreOptions) -> Store:
    """Return the store of the sources. Several sources are merged. The first question opens them.

    Call it in the event loop in which the store is used.
    """
    if len(sources) == 1 and not sources[0].name:
        return _of_one(sources[0], options)
    from ceems_grpc.store.merged.store import MergedStore  # noqa: PLC0415 - needed for merged sources only

    named = [(source.name, partial(_of_one, source, options)) for source in sources]
    timeout = None if options.source_timeout is None else options.source_timeout.total_seconds()
    return MergedStore(named, timeout, fail_on_missing=options.fail_on_missing_source)


def _of_one(source: Source, options: StoreOptions) -> Store:
    match source:
        case FileSource():
            return _of_file(source, options)
        case BridgeSource():
            from ceems_grpc.store.remote.store import RemoteStore  # noqa: PLC0415 - needed for bridges only

            return RemoteStore(source.endpoint)
        case PostgresSource():
            from ceems_grpc.store.postgres.store import PostgresStore  # noqa: PLC0415 - its driver takes time to load

            return PostgresStore(source.url, source.password, source.schema)


def _of_file(source: FileSource, options: StoreOptions) -> Store:
    live = SqliteStore(source.path, zone=source.zone)
    if options.mirror_mode == "off":
        return live
    from ceems_grpc.store.duckdb.settings import MirrorSettings  # noqa: PLC0415 - the engine takes time to load
    from ceems_grpc.store.duckdb.store import MirroredStore  # noqa: PLC0415

    if options.mirror_mode == "memory":
        settings = MirrorSettings.in_memory()
    elif options.mirror_folder is not None:
        settings = MirrorSettings(folders=(options.mirror_folder,))
    else:
        settings = MirrorSettings()
    memory = f"{BUDGET.mirror_share // MEBIBYTE}MB"
    return MirroredStore(live, replace(settings, least=_MIRROR_FROM, memory_limit=memory))
