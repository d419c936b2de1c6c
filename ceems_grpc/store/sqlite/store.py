"""The live CEEMS database file, read in place and never written.

Connections are opened with ``mode=ro`` and ``query_only``; each reader is one short read transaction on one of a few
pooled connections. A cancelled question interrupts its statement.
"""

import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from ceems_grpc.schema import OLDEST_VERSION, newer_schema
from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.columnar.json_paths import canonical
from ceems_grpc.store.columnar.local_time import guess_zone, moment_of
from ceems_grpc.store.columnar.values import is_usable
from ceems_grpc.store.errors import StoreSchemaError
from ceems_grpc.store.plan import Table
from ceems_grpc.store.protocols import Facts
from ceems_grpc.store.runtime.cancellation import pause, run_cancellable
from ceems_grpc.store.runtime.query_trace import waiting
from ceems_grpc.store.sqlite.connections import ConnectionPool, DatabaseFile
from ceems_grpc.store.sqlite.dialect import CANONICAL_FUNCTION, MOMENT_FUNCTION
from ceems_grpc.store.sqlite.guard import GuardedConnection
from ceems_grpc.store.sqlite.new_columns import NewColumns
from ceems_grpc.store.sqlite.reader import SqliteReader, version_of
from ceems_grpc.store.sqlite.shm_guard import FileIdentity
from ceems_grpc.store.sqlite.wal import read_version, wants_gap

_log = logging.getLogger(__name__)

_LARGE_LOG = 8 * 1024 * 1024  # bytes; SQLite begins to fold the log at 4 MiB
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


class _Schema(NamedTuple):
    """The columns of the tables of a file. They are valid as long as the file and its schema version stay the same."""

    file: DatabaseFile
    version: int
    columns: Mapping[str, frozenset[str]]
    new: NewColumns


class SqliteStore:
    """A CEEMS database in a file.

    ``zone``: the zone in which the site writes local times; if None, it is guessed from the rows.
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
        self._schema: _Schema | None = None
        self._told_newer = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqliteReader]:
        """Open a reader on the file as it is now."""
        await self._give_way()
        async with self._pool.transaction(self._look) as (connection, (zone, schema)):
            yield SqliteReader(connection, zone, schema.columns, schema.new.found)

    def begin(self) -> None:
        """Do nothing, because this store has no background work."""

    def read_here(self) -> AbstractAsyncContextManager[SqliteReader]:
        """Open a reader in the thread of the caller; see `ceems_grpc.store.protocols.ReadsInOneThread`."""
        return self.read()

    async def facts(self) -> Facts:
        """Describe the database."""
        async with self.read() as reader:
            return await reader.facts(str(self._path), guessed=self._zone is None)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    async def version(self) -> Version:
        """Return the state of the file and its write-ahead log. Every commit changes it."""
        return await run_cancellable(lambda: read_version(self._path))

    async def close(self) -> None:
        """Close idle connections, and wait some seconds for those in use, which close when their reader does."""
        await self._pool.close()

    async def _give_way(self) -> None:
        """Wait for a writer that is at work if readers keep its large log from being folded."""
        ends = time.monotonic() + _GAP
        with waiting():
            while await run_cancellable(lambda: wants_gap(self._path, _LARGE_LOG)):
                if time.monotonic() > ends:
                    return
                await pause(0.005)

    # In threads

    def _look(self, connection: GuardedConnection, file: DatabaseFile) -> tuple[tzinfo, _Schema]:
        schema = self._schema_of(connection, file)
        schema.new.look(connection)
        return self._zone_of(connection, file.file), schema

    def _schema_of(self, connection: sqlite3.Connection, file: DatabaseFile) -> _Schema:
        # The schema's version changes with every migration, even if the file stays in its place.
        ((version,),) = connection.execute("PRAGMA schema_version").fetchall()
        known = self._schema
        if known is None or known[:2] != (file, version):
            known = self._schema = self._read_schema(connection, file, version)
        return known

    def _read_schema(self, connection: sqlite3.Connection, file: DatabaseFile, number: int) -> _Schema:
        rows = connection.execute(
            "SELECT m.name, c.name, c.type FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c"
            " WHERE m.type = 'table' ORDER BY m.name, c.cid"
        ).fetchall()
        columns: dict[str, dict[str, str]] = {}
        for table, column, declaration in rows:
            columns.setdefault(table, {})[column] = declaration
        version = 0
        if "schema_migrations" in columns:
            ((newest,),) = connection.execute("SELECT max(version) FROM schema_migrations").fetchall()
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
        known = {table: frozenset(names) for table, names in columns.items()}
        return _Schema(file, number, known, NewColumns(columns))

    def _zone_of(self, connection: GuardedConnection, file: FileIdentity) -> tzinfo:
        zone = self._zone
        if zone is None and self._guessed is not None and self._guessed[0] == file:
            zone = self._guessed[1]
        if zone is None:
            rows = connection.execute(_STARTS).fetchall()
            samples = [(int(moment), str(offset)) for moment, offset in rows]
            zone = guess_zone(samples)
            self._guessed = (file, zone) if samples else None  # if there are no units yet, guess again later
        if connection.zone != zone:
            connection.create_function(MOMENT_FUNCTION, 2, moment_of(zone), deterministic=True)
            connection.create_function(CANONICAL_FUNCTION, 1, canonical, deterministic=True)
            connection.zone = zone
        return zone
