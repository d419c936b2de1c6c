"""The handle of one of several sources: its store, what its rows are known to hold, and its timeout."""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from typing import Any, TypeVar

from ceems_grpc.schema import Type
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.plan import Distinct, Table
from ceems_grpc.store.protocols import Facts, Store
from ceems_grpc.store.runtime.query_trace import of_source

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_WITH_CLUSTERS = (Table.UNITS, Table.USAGE, Table.DAILY_USAGE, Table.USERS, Table.PROJECTS)
_SLOW = 1.0  # seconds; if a source takes longer to fail, only one question waits for its failure
_PATIENCE = 0.25  # seconds for which later questions wait for such a source, in case it answers again
CLOSING = 5.0  # seconds for which a question waits until the reader of a source has closed


@dataclass(frozen=True, slots=True)
class Known:
    """What a source holds at a version: clusters, tables, columns and time zone.

    ``nowhere``: it also has rows without a cluster.
    """

    version: Hashable
    clusters: frozenset[str]
    nowhere: bool
    has: Callable[[Table, str | None], bool]
    new_columns: Callable[[Table], Mapping[str, Type]]
    zone: tzinfo

    @property
    def is_empty(self) -> bool:
        """Whether the source has no rows in any table with clusters."""
        return not self.clusters and not self.nowhere


class SourceHandle:
    """A named source.

    ``open_store`` makes its store when it is first needed. ``timeout`` is in seconds; None means no limit.

    After a source has not answered in time, or took long to fail, questions do not wait for it: it is checked in the
    background until it answers again.
    """

    def __init__(self, name: str, open_store: Callable[[], Store], timeout: float | None) -> None:
        self.name = name
        self.timeout = timeout
        self._open = open_store
        self._store: Store | None = None
        self._known: Known | None = None
        self._look: asyncio.Task[Known] | None = None
        self._late: StoreError | None = None
        self._up = True
        self._falls = 0
        self._left_behind: set[asyncio.Task[Any]] = set()

    @property
    def store(self) -> Store:
        """The store of the source; made on first use."""
        if self._store is None:
            self._store = self._open()
        return self._store

    @property
    def opened(self) -> Store | None:
        """The store of the source, or None if it has not been needed yet."""
        return self._store

    @property
    def falls(self) -> int:
        """How often the source has stopped answering."""
        return self._falls

    async def look(self) -> Known:
        """Return what the source holds now. Raises `StoreError` if it fails or does not answer in time."""
        look = self._look
        if look is None:
            with of_source(self.name):
                look = self._look = asyncio.create_task(self._read_known())
            look.add_done_callback(partial(self._looked, time.monotonic()))
        try:
            await asyncio.wait({look}, timeout=self.timeout if self._late is None else _PATIENCE)
            if not look.done():
                self._late = self._late or self._too_slow()
                raise type(self._late)(
                    str(self._late), self._late.detail
                )  # a new object, because this error is raised many times
            known = look.result()
        except StoreError:
            self._falls += self._up
            self._up = False
            raise
        self._up = True
        return known

    def missing(self, error: StoreError) -> Missing:
        """Describe what an answer lacks without this source, which failed with ``error``, and log it."""
        clusters = None if self._known is None else tuple(sorted(self._known.clusters))
        _log.warning("a source is left out", extra={"source": self.name, "detail": error.detail})
        return Missing(self.name, str(error), error.detail, clusters, isinstance(error, StoreBusyError))

    async def facts(self) -> Facts:
        """Describe the source. Raises `StoreError` if it fails or does not answer in time."""
        task = asyncio.create_task(self.store.facts())
        return await self.in_time(task, self.timeout)

    async def in_time(self, task: asyncio.Task[_Result], seconds: float | None) -> _Result:
        """Return the result of a task. If it takes longer, cancel it without waiting, and raise `StoreBusyError`."""
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            self.leave(task)
            raise
        if not done:
            self.leave(task)
            raise self._too_slow()
        return task.result()

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, once, without waiting for it: a stuck file system must not hold up a question."""
        stop(task)
        self._left_behind.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Close the store."""
        if self._look is not None:
            self.leave(self._look)
        if self._left_behind:
            await asyncio.wait(self._left_behind, timeout=CLOSING)
        if self._store is not None:
            await self._store.close()

    async def _read_known(self) -> Known:
        version = await self.store.version()
        if self._known is None or self._known.version != version:
            async with self.store.read() as reader:
                ids: set[str | None] = set()
                for table in _WITH_CLUSTERS:
                    if reader.has(table):
                        found = await reader.distinct(Distinct(table, ("cluster_id",)))
                        ids.update(found.column(0).to_pylist())
                clusters = frozenset(cluster for cluster in ids if cluster is not None)
                self._known = Known(version, clusters, None in ids, reader.has, reader.new_columns, reader.zone)
        return self._known

    def _looked(self, started: float, task: asyncio.Task[Known]) -> None:
        if self._look is task:
            self._look = None
        error = None if task.cancelled() else task.exception()
        slow = time.monotonic() - started >= _SLOW
        self._late = error if slow and isinstance(error, StoreError) else None

    def _too_slow(self) -> StoreBusyError:
        within = "in time" if self.timeout is None else f"within {self.timeout:g} s (sourceTimeout)"
        return StoreBusyError(f"It did not answer {within}.")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left_behind.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.info("a source ended late", extra={"source": self.name, "detail": str(task.exception())})


def stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task, unless it was cancelled before: a second time would interrupt its clean-up."""
    if not task.cancelling():
        task.cancel()
