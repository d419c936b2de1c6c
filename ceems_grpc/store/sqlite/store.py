"""The live CEEMS database file, read in place and never written.

Connections are opened with ``mode=ro`` and ``query_only``; each reader is one short read transaction on one of a few
pooled connections. A cancelled question interrupts its statement.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import tzinfo
from pathlib import Path

import aiosqlite

from ceems_grpc.schema import OLDEST_VERSION, newer_schema
from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.columnar.json_paths import canonical
from ceems_grpc.store.columnar.local_time import guess_zone, moment_of
from ceems_grpc.store.columnar.values import is_usable
from ceems_grpc.store.errors import StoreSchemaError
from ceems_grpc.store.plan import Table
from ceems_grpc.store.protocols import Facts
from ceems_grpc.store.runtime.query_trace import waiting
from ceems_grpc.store.sqlite.connections import ConnectionPool, DatabaseFile
from ceems_grpc.store.sqlite.dialect import CANONICAL_FUNCTION, MOMENT_FUNCTION
from ceems_grpc.store.sqlite.new_columns import NewColumns
from ceems_grpc.store.sqlite.reader import SqliteReader, version_of
from ceems_grpc.store.sqlite.shm_guard import FileIdentity
from ceems_grpc.store.sqlite.wal import read_version, wants_gap

_log = logging.getLogger(__name__)

_LARGE_LOG = 8 * 1024 * 1024  # bytes; SQLite begins to fold the log in at 4 MiB
_GAP = 5.0  # seconds that a question waits for a writer while the log is large
_HAS_START = f"{is_usable('started_at_ts', 'started_at_ts')} AND {is_usable('started_at', 'started_at')}"
# A few hundred rows spread over all ids: cheap in a table of any size.
_STARTS = (
    "WITH RECURSIVE ends AS (SELECT min(id) AS low, max(id) AS high FROM units),"  # noqa: S608 - constant names
    " steps(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM steps WHERE n < 255)"
    " SELECT started_at_ts / 1000, substr(started_at, -5) FROM units"
    f" WHERE id IN (SELECT low + (high - low) * n / 255 FROM ends, steps) AND {_HAS_START} AND started_at_ts > 0"
    " AND (started_at LIKE '____-__-__T__:__:__+____' OR started_at LIKE '____-__-__T__:__:__-____')"
)


class SqliteStore:
    """A CEEMS database in a file.

    ``zone``: the zone in which the site writes local times; None guesses it from what rows hold.
    ``busy_timeout``: seconds to wait for a writer; ``connections``: how many are kept open for the next readers. How
    many read at once is limited by `ceems_grpc.store.runtime.admission`.
    """

    def __init__(
        self, path: Path, *, zone: tzinfo | None = None, connections: int = 4, busy_timeout: float = 5.0
    ) -> None:
        self._path = path
        self._zone = zone
        self._guessed: tuple[FileIdentity, tzinfo] | None = None
        self._pool = ConnectionPool(path, connections, busy_timeout)
        self._schema: tuple[DatabaseFile, int] | None = None  # of which file and version the columns are known
        self._columns: Mapping[str, frozenset[str]] = {}
        self._new = NewColumns()
        self._told_newer = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqliteReader]:
        """Open a reader on the file as it is now."""
        await self._give_way()
        async with self._pool.transaction() as (connection, file):
            columns = await self._columns_of(connection, file)
            new = await self._new.look(connection)
            yield SqliteReader(connection, await self._zone_of(connection, file.file), columns, new)

    async def facts(self) -> Facts:
        """Describe the database."""
        async with self.read() as reader:
            return await reader.facts(str(self._path), guessed=self._zone is None)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    async def version(self) -> Version:
        """Return the state of the file and its write-ahead log, which every commit changes."""
        return await asyncio.to_thread(read_version, self._path)

    async def close(self) -> None:
        """Close idle connections, and wait some seconds for those in use, which close when their reader does."""
        await self._pool.close()

    async def _give_way(self) -> None:
        """Wait for a writer that is working while readers keep its large log from being folded in."""
        ends = time.monotonic() + _GAP
        with waiting():
            while await asyncio.to_thread(wants_gap, self._path, _LARGE_LOG):
                if time.monotonic() > ends:
                    return
                await asyncio.sleep(0.005)

    async def _columns_of(self, connection: aiosqlite.Connection, file: DatabaseFile) -> Mapping[str, frozenset[str]]:
        # The schema's version changes with every migration, also of a file that stays in its place.
        ((version,),) = await connection.execute_fetchall("PRAGMA schema_version")
        if self._schema != (file, version):
            self._columns = await self._read_columns(connection)
            self._schema = (file, version)
        return self._columns

    async def _read_columns(self, connection: aiosqlite.Connection) -> Mapping[str, frozenset[str]]:
        rows = await connection.execute_fetchall(
            "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table'"
            " ORDER BY m.name, c.cid"
        )
        columns: dict[str, list[str]] = {}
        for table, column in rows:
            columns.setdefault(table, []).append(column)
        version = 0
        if "schema_migrations" in columns:
            ((newest,),) = await connection.execute_fetchall("SELECT max(version) FROM schema_migrations")
            version = version_of(newest)
        for table in (Table.UNITS, Table.USAGE, Table.USERS, Table.PROJECTS):
            if table not in columns and version:
                raise StoreSchemaError(
                    f"The database is of schema version {version}, which has no table {table}; "
                    f"the oldest that can be read is {OLDEST_VERSION}: update CEEMS.",
                )
            if table not in columns:
                raise StoreSchemaError(
                    f"The file is not a CEEMS database: it has no table {table}.",
                    f"{self._path} is an SQLite database, but has no table {table}; "
                    "point the data source at the ceems.db of ceems_api_server.",
                )
        if (newer := newer_schema(version)) and not self._told_newer:
            self._told_newer = True
            _log.warning("the database is newer than this plugin: %s", newer, extra={"schemaVersion": version})
        self._new = NewColumns(columns)
        return {table: frozenset(names) for table, names in columns.items()}

    async def _zone_of(self, connection: aiosqlite.Connection, file: FileIdentity) -> tzinfo:
        zone = self._zone
        if zone is None and self._guessed is not None and self._guessed[0] == file:
            zone = self._guessed[1]
        if zone is None:
            rows = await connection.execute_fetchall(_STARTS)
            samples = [(int(moment), str(offset)) for moment, offset in rows]
            zone = guess_zone(samples)
            self._guessed = (file, zone) if samples else None  # a database without units is asked again
        await connection.create_function(MOMENT_FUNCTION, 2, moment_of(zone), deterministic=True)
        await connection.create_function(CANONICAL_FUNCTION, 1, canonical, deterministic=True)
        return zone
