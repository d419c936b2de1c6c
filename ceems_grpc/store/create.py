"""Opens the store that a data source's settings describe."""

from dataclasses import replace
from functools import partial

from ceems_grpc.settings import Settings
from ceems_grpc.settings.sources import BridgeSource, FileSource, PostgresSource, Source
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.sqlite.store import SqliteStore

_MIRROR_FROM = 32 * 1024 * 1024  # bytes; smaller databases answer fast enough by themselves


def open_store(settings: Settings) -> Store:
    """Return the store of the sources; several are merged. Nothing is opened before the first question.

    Must be called within the event loop in which the store is used.
    """
    if len(settings.sources) == 1 and not settings.sources[0].name:
        return _open(settings.sources[0], settings)
    from ceems_grpc.store.merged.store import MergedStore  # noqa: PLC0415 - only where sources are merged

    parts = [(source.name, partial(_open, source, settings)) for source in settings.sources]
    timeout = None if settings.source_timeout is None else settings.source_timeout.total_seconds()
    return MergedStore(parts, timeout, fail_on_missing=settings.fail_on_missing_source)


def _open(source: Source, settings: Settings) -> Store:
    match source:
        case FileSource():
            return _open_file(source, settings)
        case BridgeSource():
            from ceems_grpc.store.remote.store import RemoteStore  # noqa: PLC0415 - only where there are bridges

            return RemoteStore(source.endpoint)
        case PostgresSource():
            from ceems_grpc.store.postgres.store import PostgresStore  # noqa: PLC0415 - its driver takes time to load

            return PostgresStore(source.url, source.password, source.schema)


def _open_file(source: FileSource, settings: Settings) -> Store:
    live = SqliteStore(source.path, zone=source.zone)
    if settings.mirror_mode == "off":
        return live
    from ceems_grpc.store.duckdb.follower import MirrorSettings  # noqa: PLC0415 - the mirror's engine takes time to load
    from ceems_grpc.store.duckdb.store import MirroredStore  # noqa: PLC0415

    if settings.mirror_mode == "memory":
        return MirroredStore(live, replace(MirrorSettings.in_memory(), least=_MIRROR_FROM))
    if settings.mirror_folder is not None:
        return MirroredStore(live, MirrorSettings(folders=(settings.mirror_folder,), least=_MIRROR_FROM))
    return MirroredStore(live, MirrorSettings(least=_MIRROR_FROM))
