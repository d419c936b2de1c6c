"""CEEMS databases of one or several sites in PostgreSQL, as `ceems-grpc feed` keeps them there.

Each reader is one short read-only transaction (REPEATABLE READ) on one of a few connections. A cancelled question
cancels its statement. A connection that was lost is made again for the next question; for the reader that loses it, if
that reader has answered nothing yet.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.postgres.connection import Address, PostgresConnection
from ceems_grpc.store.postgres.pool import Pool
from ceems_grpc.store.postgres.reader import PostgresReader
from ceems_grpc.store.postgres.state import StateReader
from ceems_grpc.store.protocols import Facts
from ceems_grpc.store.runtime.query_trace import waiting


class PostgresStore:
    """A PostgreSQL database that feeders fill.

    ``url``: in libpq's form, without a password. ``connections``: how many readers at once. ``statement_timeout``:
    seconds after which the server stops a statement by itself, None never: callers give up before that.
    """

    def __init__(  # an empty password is none  # nosec B107
        self,
        url: str,
        password: str = "",
        schema: str = "ceems",
        *,
        connections: int = 8,
        statement_timeout: float | None = 600.0,
    ) -> None:
        self._address = Address(url, password)
        self._pool = Pool(self._address, StateReader(self._address, schema), connections, statement_timeout)
        self._free = asyncio.Semaphore(connections)
        self._idle: list[PostgresConnection] = []
        # Versions are asked for while readers are open, so they have a connection of their own.
        self._watch: list[PostgresConnection] = []
        self._one_watcher = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[PostgresReader]:
        """Open a reader on the database as it is now."""
        try:
            with waiting():
                async with asyncio.timeout(60):
                    await self._free.acquire()
        except TimeoutError:
            raise StoreBusyError("The database is busy with other questions; try again in a moment.") from None
        try:
            async with self._pool.lease(self._idle) as lease:
                yield PostgresReader(lease, await lease.open())
        finally:
            self._free.release()

    async def facts(self) -> Facts:
        """Describe the database: what its sites say, together. Raises `StoreError` also if a shard does not answer."""
        async with self.read() as reader:
            await reader.reach_shards()
            return reader.facts(self._address.shown)

    async def version(self) -> Hashable:
        """Return the numbers of commits of all sites, of which every feeding makes one larger."""
        async with self._one_watcher, self._pool.lease(self._watch) as lease:
            return (await lease.open()).version

    async def close(self) -> None:
        """Close idle connections; those in use close when their reader does."""
        self._pool.close()
        for idle in (self._idle, self._watch):
            while idle:
                await asyncio.to_thread(idle.pop().close)
