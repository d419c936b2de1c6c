"""A store that answers from a column mirror of the live database when it is current, otherwise from the file.

The same question at the same moment has the same answer from both. Questions that the mirror cannot answer exactly go
to the file, as does every question while the mirror is being built or updated.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import duckdb

from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.duckdb.files import Mirror, Snapshot
from ceems_grpc.store.duckdb.follower import Follower
from ceems_grpc.store.duckdb.reader import MirrorReader
from ceems_grpc.store.duckdb.selective import FileFirstReader
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.plan import Condition
from ceems_grpc.store.protocols import Facts, MirrorStatus, Reader
from ceems_grpc.store.runtime.admission import is_large
from ceems_grpc.store.runtime.cancellation import NeedsLoopError
from ceems_grpc.store.sqlite.reader import SqliteReader
from ceems_grpc.store.sqlite.store import SqliteStore
from ceems_grpc.store.sqlite.wal import read_version

_log = logging.getLogger(__name__)
_PATIENCE, _LARGE_PATIENCE = 0.5, 5.0  # seconds that a question waits for the mirror to catch up


class MirroredStore:
    """Answers from the mirror of a live store. The mirror is built and updated in the background.

    Nothing happens before the first question. ``close`` also closes the live store.
    """

    def __init__(self, live: SqliteStore, settings: MirrorSettings | None = None) -> None:
        self._live = live
        self._settings = settings or MirrorSettings()
        self._follower = Follower(live, self._settings)
        self._seen: tuple[Mirror | None, float] = (None, 0.0)  # the mirror last seen fresh, and when (monotonic)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        """Open a reader on the mirror if it is current, otherwise on the file."""
        if await self._is_needless():
            async with self._live.read() as reader:
                yield reader
            return
        self._follower.start()
        async with AsyncExitStack() as stack:
            mirrored = await self._mirror_reader(stack)
            if mirrored is None:
                # Catching up takes a moment. The file may take much longer to answer and slow down other questions.
                await self._follower.caught_up(_LARGE_PATIENCE if is_large() else _PATIENCE)
                mirrored = await self._mirror_reader(stack)
            if mirrored is not None:
                yield mirrored
                return
            self._follower.wake()
            yield await stack.enter_async_context(self._live.read())

    def begin(self) -> None:
        """Start following the database unless it is too small for a mirror."""
        if self._follower.mirror is not None or not self._is_small():
            self._follower.start()

    @asynccontextmanager
    async def read_here(self) -> AsyncIterator[Reader]:
        """Open a reader in the thread of the caller; see `ceems_grpc.store.protocols.ReadsInOneThread`."""
        before = read_version(self._live.path)
        async with self._live.read() as file:
            if self._follower.mirror is None and self._is_small():
                yield file
                return
            # Nothing was committed in between, so this is what the file's reader sees.
            version = before if read_version(self._live.path) == before else None
            reader = FileFirstReader(file, partial(self._mirror_beside, version), partial(self._few_rows, version))
            try:
                yield reader
            finally:
                await reader.close()

    async def facts(self) -> Facts:
        """Describe the live database. This also starts building the mirror."""
        facts = await self._live.facts()
        if await self._is_needless():
            return facts
        self._follower.start()
        mirror = self._follower.mirror
        fresh = mirror is not None and mirror.meta.version == await self.version()
        return replace(
            facts, mirror="fresh" if fresh else "behind", mirror_problem="" if fresh else self._follower.problem
        )

    def mirrors(self) -> dict[str, MirrorStatus]:
        """Return the state of the mirror under the name ""; nothing for databases that are too small for a mirror."""
        mirror = self._follower.mirror
        if mirror is None:
            return {} if self._is_small() else {"": MirrorStatus(fresh=False, age=None)}
        try:
            fresh = mirror.meta.version == read_version(self._live.path)
        except StoreError:
            fresh = False
        now = time.monotonic()
        if fresh or mirror is not self._seen[0]:
            self._seen = (mirror, now)
        return {"": MirrorStatus(fresh=fresh, age=now - self._seen[1])}

    async def version(self) -> Version:
        """Return the live database's version."""
        return await self._live.version()

    async def close(self) -> None:
        """Stop following, and close the mirror and the live store."""
        await self._follower.close()
        await self._live.close()

    async def settled(self) -> bool:
        """Wait until the follower has nothing to do. Return whether the mirror is then current."""
        return await self._follower.settled()

    async def _is_needless(self) -> bool:
        """Return whether there is no mirror and the database is too small to need one."""
        return self._follower.mirror is None and await asyncio.to_thread(self._is_small)

    def _is_small(self) -> bool:
        try:
            return self._live.path.stat().st_size < self._settings.least
        except OSError:
            return True  # the live store reports the error

    async def _mirror_reader(self, stack: AsyncExitStack) -> "MirrorReader | None":
        mirror = self._follower.mirror
        if mirror is None:
            return None
        snapshot = await asyncio.to_thread(self._fresh, mirror)
        if snapshot is None:
            return None
        stack.callback(snapshot.close)
        reader = MirrorReader(self._live, self._follower, snapshot)
        stack.push_async_callback(reader.close)
        return reader

    def _mirror_beside(self, version: Version | None, file: SqliteReader, stack: AsyncExitStack) -> MirrorReader:
        """Open a reader of the mirror at the moment of the file's. Raises `NeedsLoopError` if the mirror is behind."""
        mirror = self._follower.mirror
        snapshot = None if mirror is None or version is None else self._snapshot_of(mirror, version)
        if snapshot is None:
            raise NeedsLoopError
        stack.callback(snapshot.close)
        return MirrorReader(self._live, self._follower, snapshot, file)

    def _few_rows(self, version: Version | None, where: Condition) -> list[int] | None:
        mirror = self._follower.mirror
        return None if mirror is None or version is None else mirror.few_rows(version, where)

    def _fresh(self, mirror: Mirror) -> Snapshot | None:
        return self._snapshot_of(mirror, read_version(self._live.path))

    def _snapshot_of(self, mirror: Mirror, version: Version) -> Snapshot | None:
        """Return the newest moment of the mirror if it is that of the version."""
        try:
            snapshot = mirror.snapshot()
        except duckdb.Error as error:
            _log.warning("the mirror cannot be read and is rebuilt", extra={"detail": str(error)})
            self._follower.discard(mirror)
            return None
        if snapshot is not None and snapshot.meta.version != version:
            snapshot.close()
            return None
        self._seen = (mirror, time.monotonic())
        return snapshot
