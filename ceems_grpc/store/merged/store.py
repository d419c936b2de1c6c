"""Several sources as one store. The sources are queried concurrently, and their answers are merged.

Only sources that can hold rows of the answer are queried. If a source fails or exceeds its timeout, the answer is made
without it and says what is missing (`ceems_grpc.store.missing`). With ``fail_on_missing``, the question fails instead.
"""

import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager

from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.merged.concurrent import run_all
from ceems_grpc.store.merged.facts import check_clusters, facts_of, merged_facts, no_source_answers
from ceems_grpc.store.merged.reader import MergedReader
from ceems_grpc.store.merged.source_handle import Known, SourceHandle
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.protocols import Facts, HasMirrors, MirrorStatus, Store


class MergedStore:
    """Named sources as one store. Each source has a function that opens its store when it is first needed.

    ``timeout``: seconds that each source has for a question; None means no limit. ``fail_on_missing``: a question fails
    if a source that it needs is missing.
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, Callable[[], Store]]],
        timeout: float | None = 10.0,
        *,
        fail_on_missing: bool = False,
    ) -> None:
        self._sources = [SourceHandle(name, open_store, timeout) for name, open_store in sources]
        self._fail = fail_on_missing

    @asynccontextmanager
    async def read(self) -> AsyncIterator[MergedReader]:
        """Open a reader over all sources that answer. Raises `StoreError` if none does."""
        reader = MergedReader(await self._look(), fail_on_missing=self._fail)
        try:
            yield reader
        finally:
            await reader.close()

    async def facts(self) -> Facts:
        """Describe each source in ``sources``, and all of them together. Raises `StoreError` if none answers."""
        found = await run_all(facts_of(source) for source in self._sources)
        told = [facts for facts in found if facts.facts is not None]
        if not told:
            raise no_source_answers(found)
        check_clusters((source.name, {cluster for cluster, _ in source.facts.clusters}) for source in told)
        return merged_facts(found)

    async def version(self) -> Hashable:
        """Return the versions of all sources; for a source that does not answer, the number of its failures."""
        versions: list[Hashable] = []
        for source, known, _ in await self._look():
            version = ("missing", source.falls) if isinstance(known, Missing) else known.version
            versions.append((source.name, version))
        return tuple(versions)

    def mirrors(self) -> Mapping[str, MirrorStatus]:
        """Return the state of the mirrors by the name of their source, without sources that were never needed."""
        found: dict[str, MirrorStatus] = {}
        for source in self._sources:
            if isinstance(source.opened, HasMirrors):
                found.update((source.name, status) for status in source.opened.mirrors().values())
        return found

    async def close(self) -> None:
        """Close all sources."""
        await run_all(source.close() for source in self._sources)

    async def _look(self) -> list[tuple[SourceHandle, Known | Missing, float]]:
        looked: list[tuple[SourceHandle, Known | Missing, float]] = await run_all(map(_look_at, self._sources))
        known = [(source.name, known.clusters) for source, known, _ in looked if isinstance(known, Known)]
        if not known:
            raise no_source_answers([missing for _, missing, _ in looked if isinstance(missing, Missing)])
        check_clusters(known)
        return looked


async def _look_at(source: SourceHandle) -> tuple[SourceHandle, Known | Missing, float]:
    started = time.monotonic()
    try:
        known: Known | Missing = await source.look()
    except StoreError as error:
        known = source.missing(error)
    return source, known, time.monotonic() - started
