"""Connections to one PostgreSQL database that readers lease, and the threads in which their statements run."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.postgres.connection import Address, Error, PostgresConnection
from ceems_grpc.store.postgres.errors import explain, explain_connect, is_lost
from ceems_grpc.store.postgres.state import State, StateReader
from ceems_grpc.store.runtime.cancellation import run_cancellable

_Result = TypeVar("_Result")
_PATIENCE = 5.0  # seconds until a statement that cannot be cancelled is abandoned


class Pool:
    """Creates connections and leases them.

    ``states``: reads the state of the database. ``connections``: the most leases at a time, which the caller ensures.
    ``statement_timeout``: seconds after which the server itself stops a statement; None means never.
    """

    def __init__(
        self, address: Address, states: StateReader, connections: int, statement_timeout: float | None
    ) -> None:
        self.states = states
        self._address = address
        self._timeout = statement_timeout
        # For statements and their cancellation. A server that does not answer must not use up the threads of others.
        self._threads = ThreadPoolExecutor(2 * connections + 1, "postgres")
        self._open = 0  # leases
        self._closed = False

    @asynccontextmanager
    async def lease(self, idle: list[PostgresConnection]) -> AsyncIterator["Lease"]:
        """Lease a connection. ``idle``: the list from which the connection is taken and to which it returns."""
        lease = Lease(self, idle)
        self._open += 1
        try:
            yield lease
        finally:
            try:
                await asyncio.shield(lease.close())
            finally:
                self._open -= 1
                self._end_threads()

    def close(self) -> None:
        """Let the threads end when the last lease ends. From now on, returned connections are closed."""
        self._closed = True
        self._end_threads()

    @property
    def closed(self) -> bool:
        """Whether returned connections must be closed."""
        return self._closed

    def _end_threads(self) -> None:
        if self._closed and not self._open:
            self._threads.shutdown(wait=False)

    # Used by leases

    def connect(self) -> PostgresConnection:
        """Create a connection. Blocks."""
        try:
            return PostgresConnection(self._address, self._timeout)
        except Error as error:
            raise explain_connect(self._address, error) from error

    def explain(self, error: Error) -> StoreError:
        """Translate an error of a statement."""
        return explain(self._address, error)

    def begin(self, work: Callable[[], _Result]) -> "Future[_Result]":
        """Begin blocking work in a thread of this store. Callbacks of the future need no event loop."""
        context = contextvars.copy_context()  # the trace of the question
        return self._threads.submit(context.run, work)

    async def in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Run blocking work in a thread of this store."""
        return await asyncio.wrap_future(self.begin(work))


class Lease:
    """A connection and the transaction on it, as long as a reader is open."""

    def __init__(self, pool: "Pool", idle: list[PostgresConnection]) -> None:
        self._pool = pool
        self._idle = idle  # idle connections
        self._connection: PostgresConnection | None = None
        self._given = False  # whether the reader has returned an answer from this transaction

    async def open(self) -> State:
        """Begin a transaction on a working connection."""
        if self._idle:
            connection = self._idle.pop()
            try:
                return await self._begin(connection)
            except Error as error:
                if not is_lost(error):
                    raise self._pool.explain(error) from error
                await self._drop_lost(connection)
        return await self._begin_anew()

    async def _begin_anew(self) -> State:
        connecting = self._pool.begin(self._pool.connect)
        try:
            connection = await asyncio.wrap_future(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close_when_made)
            raise
        try:
            return await self._begin(connection)
        except Error as error:
            raise self._pool.explain(error) from error

    async def _begin(self, connection: PostgresConnection) -> State:
        self._connection = connection
        return await self._run(partial(self._pool.states.begin, connection))

    async def ask(self, work: Callable[[PostgresConnection], _Result], renew: Callable[[State], None]) -> _Result:
        """Run work on the connection in a thread. Raises `StoreError`.

        If the connection is lost before anything was answered, the work is repeated once on another connection, in a
        new transaction. ``renew`` is called with the state of that transaction.
        """
        assert self._connection is not None  # noqa: S101 - readers get an open lease
        try:
            answer = await self._run(partial(work, self._connection))
        except Error as error:
            if self._given or not is_lost(error):
                raise self._pool.explain(error) from error
            await self._drop_lost(self._connection)
            renew(await self._begin_anew())
            try:
                answer = await self._run(partial(work, self._connection))
            except Error as again:
                raise self._pool.explain(again) from again
        self._given = True
        return answer

    async def close(self) -> None:
        """End the transaction and return the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await self._pool.in_thread(lambda: connection.run("ROLLBACK"))
        except Error:
            await asyncio.to_thread(connection.close)
            return
        if self._pool.closed:
            await asyncio.to_thread(connection.close)
        else:
            self._idle.append(connection)

    async def _drop_lost(self, connection: PostgresConnection) -> None:
        """Close a lost connection and all idle ones, which are probably lost too."""
        self._connection = None
        waiting, self._idle[:] = [connection, *self._idle], []
        for lost in waiting:
            await asyncio.to_thread(lost.close)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        """Run work on the connection in a thread of the pool."""
        connection = self._connection
        assert connection is not None  # noqa: S101 - the work uses it
        started: list[Future[_Result]] = []

        def start(work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
            started.append(self._pool.begin(work))
            return asyncio.wrap_future(started[0])

        def give_up() -> None:  # the server no longer answers
            self._connection = None
            started[0].add_done_callback(lambda _: connection.close())

        return await run_cancellable(
            work,
            lambda: self._pool.in_thread(partial(_cancel, connection)),
            start=start,
            patience=_PATIENCE,
            give_up=give_up,
        )


def _cancel(connection: PostgresConnection) -> None:
    with suppress(Error):  # a server that is gone cannot be notified
        connection.cancel()


def _close_when_made(connecting: "Future[PostgresConnection]") -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()
