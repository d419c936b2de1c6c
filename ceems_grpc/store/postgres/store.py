"""CEEMS databases of one or several sites in PostgreSQL, into which `ceems-grpc feed` copies them.

Each reader is one short read-only transaction (REPEATABLE READ) on one of a few connections. A cancelled question
cancels its statement. A lost connection is replaced for the next question, and also for the current reader if that
reader has answered nothing yet.
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

    ``url``: in libpq's form, without a password. ``connections``: the most readers at a time. ``statement_timeout``:
    seconds after which the server itself stops a statement, None never. Callers give up before that.
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
        # Versions are read while readers are open, so they use a separate connection.
        self._watch: list[PostgresConnection] = []
        self._one_watcher = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[PostgresReader]:
        """Open a reader on the current state of the database."""
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
        """Describe the database by the rows of its sites. Also raises `StoreError` if a shard does not answer."""
        async with self.read() as reader:
            await reader.reach_shards()
            return reader.facts(self._address.shown)

    async def version(self) -> Hashable:
        """Return the commit counters of all sites. Every commit of a feeder increments one of them."""
        async with self._one_watcher, self._pool.lease(self._watch) as lease:
            return (await lease.open()).version

    async def close(self) -> None:
        """Close idle connections. Connections in use close when their readers do."""
        self._pool.close()
        for idle in (self._idle, self._watch):
            while idle:
                await asyncio.to_thread(idle.pop().close)
