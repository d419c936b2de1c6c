"""Database files fed into PostgreSQL, and the stores that read them there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adbc_driver_postgresql import dbapi

from ceems_grpc.store.postgres.store import PostgresStore
from ceems_grpc.store.runtime.query_trace import QueryTrace
from ceems_grpc.store.sqlite.source_rows import PythonRows
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.mirrors import count
from tests.support.postgres.feeding import feed_once
from tests.support.postgres.servers import PASSWORD, SUPERUSER, Server


def fed(
    server: Server,
    database: str,
    path: Path,
    zone: ZoneInfo | None,
    site: str = "here",
    *,
    user: str = SUPERUSER,
    password: str = PASSWORD,
) -> None:
    """Feed the current contents of a file into a database."""
    # Uses Python's SQLite, since these tests also open files through it.
    feed_once(path, server.url(database, user), password=password, site=site, zone=zone, open_rows=PythonRows)


@asynccontextmanager
async def opened(server: Server, database: str, schema: str = "ceems", **more: Any) -> AsyncIterator[PostgresStore]:
    """Open a store on a database."""
    store = PostgresStore(server.url(database), PASSWORD, schema, **more)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def file(path: Path, zone: ZoneInfo | None) -> AsyncIterator[SqliteStore]:
    """Open a store on the file itself."""
    store = SqliteStore(path, zone=zone)
    try:
        yield store
    finally:
        await store.close()


def statements(trace: QueryTrace) -> str:
    """Return the texts of all statements of a trace."""
    return "\n".join(statement.text for statement in trace.statements)


@contextmanager
def locked(server: Server, database: str, table: str) -> Iterator[None]:
    """Hold a lock on a table that blocks all readers."""
    with dbapi.connect(server.full_url(database)) as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE ceems.{table} IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


async def is_waiting(server: Server, database: str) -> bool:
    """Return whether a statement in the database waits for a lock."""
    statement = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    return bool(await asyncio.to_thread(server.rows, statement))


def disconnect(server: Server, database: str) -> None:
    """Terminate all connections of stores to the database."""
    server.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{database}' AND application_name = 'ceems-grpc'"
    )


def connections(server: Server, database: str) -> int:
    """Return the number of connections of stores to the database."""
    return len(
        server.rows(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'ceems-grpc'")
    )


async def units_of(store: PostgresStore) -> int:
    """Return the number of units as a new reader sees it."""
    async with store.read() as reader:
        return await count(reader)
