"""A feeder: it copies a database file to PostgreSQL and keeps the copy up to date."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from ceems_grpc.schema import WEIGHTS
from ceems_grpc.store.columnar.layout import quote, text
from ceems_grpc.store.columnar.zone_text import text_of_zone
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.follow.keeper import SourceFollower, Step
from ceems_grpc.store.postgres.connection import Address, Error, PostgresConnection
from ceems_grpc.store.postgres.errors import explain, explain_connect
from ceems_grpc.store.postgres.feed.apply import ClusterTakenError
from ceems_grpc.store.postgres.feed.state import FeedSite, lock_site
from ceems_grpc.store.postgres.feed.write import PostgresTarget
from ceems_grpc.store.postgres.schema import POSTGRES_LAYOUT_VERSION, setup_statements
from ceems_grpc.store.protocols import Facts
from ceems_grpc.store.sqlite.source_rows import AdbcRows, Rows
from ceems_grpc.store.sqlite.store import SqliteStore

_log = logging.getLogger(__name__)
_OF_THE_FILE = "[SQLite]"  # in messages of the driver that reads the file; its errors have the same class


class FeedError(Exception):
    """An administrator must change something before the feeder can continue. The message says what."""


class SiteConflictError(FeedError):
    """The file contains a cluster of another site."""


class FedTwiceError(FeedError):
    """Another feeder is feeding this site."""


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """The source and the target. ``zone``: the zone of local times in the file; if None, it is guessed."""

    path: Path
    address: Address
    site: str
    schema: str = "ceems"
    zone: ZoneInfo | None = None
    keep_history: bool = False


class Feeder:
    """Feeds one site, from one thread. A site has one feeder: `open` raises `FedTwiceError` for a second one.

    ``open_rows``: opens the file for reading; see `SourceFollower`. ``progress``: called with the number of rows
    compared so far.
    """

    def __init__(
        self,
        settings: FeedSettings,
        *,
        progress: Callable[[int], None] | None = None,
        open_rows: Callable[[Path], Rows] = AdbcRows,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._open_rows = open_rows
        self.units = 0  # in the file when it was opened
        self._connection: PostgresConnection | None = None
        self._target: PostgresTarget | None = None
        self._follower: SourceFollower | None = None

    @property
    def target(self) -> PostgresTarget:
        """The target in PostgreSQL. Only for an open feeder."""
        assert self._target is not None  # noqa: S101 - opened before
        return self._target

    @property
    def is_open(self) -> bool:
        """Whether the feeder is open."""
        return self._follower is not None

    def open(self) -> None:
        """Connect, create the tables if there are none, and lock the site.

        Raises `StoreError` if the file or the server cannot be read, and `FeedError`.
        """
        settings = self._settings
        facts, zone = _describe(settings)
        self.units = facts.units
        try:
            self._connection = PostgresConnection(settings.address, None)
        except Error as error:
            raise explain_connect(settings.address, error) from error
        try:
            self._prepare(self._connection, facts, zone)
        except Error as error:
            self.close()
            raise explain(settings.address, error) from error
        except BaseException:
            self.close()
            raise

    def step(self) -> Step:
        """Check the file and write its changes.

        Raises `StoreError` for errors of PostgreSQL and of reading the file, `FeedError` if an administrator must act,
        and the other errors of `SourceFollower.step`. An error closes the feeder; it can be opened again.
        """
        assert self._follower is not None  # noqa: S101 - opened before
        try:
            return self._follower.step()
        except Error as error:
            self.close()
            if _OF_THE_FILE in str(error):
                raise StoreError("The database file could not be read.", f"{self._settings.path}: {error}") from error
            raise explain(self._settings.address, error) from error
        except ClusterTakenError as error:
            self.close()
            raise SiteConflictError(str(error)) from None
        except BaseException:
            self.close()  # the state in memory may no longer match the database
            raise

    def close(self) -> None:
        """Close the file and the connection, which unlocks the site."""
        if self._follower is not None:
            self._follower.close()
            self._follower = None
        if self._target is not None:
            self._target.close()
            self._target = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _prepare(self, connection: PostgresConnection, facts: Facts, zone: tzinfo) -> None:
        settings = self._settings
        ensure_tables(connection, settings.schema)
        if not lock_site(connection, settings.schema, settings.site):
            raise FedTwiceError(
                f"Another feeder is feeding site '{settings.site}' into this database. Stop one of the two, give the "
                "sites different names (--site), or start this one with --wait to take over when the other ends."
            )
        site = FeedSite(settings.site, text_of_zone(zone), facts.schema_version, settings.keep_history, dict(WEIGHTS))
        self._target = PostgresTarget(connection, settings.schema, site, self._progress)
        self._follower = SourceFollower(settings.path, self._target, zone, self._open_rows)


def ensure_tables(connection: PostgresConnection, schema: str) -> None:
    """Create the tables if there are none. Raises `FeedError` if that is not allowed or their version differs."""
    found = connection.fetch(f"SELECT to_regclass({text(f'{quote(schema)}.layout')}) IS NOT NULL").column(0)[0].as_py()
    if not found:
        _make_tables(connection, schema)
    rows = connection.fetch(f"SELECT version FROM {quote(schema)}.layout").column(0).to_pylist()  # noqa: S608
    if rows != [POSTGRES_LAYOUT_VERSION]:
        has = rows[0] if rows else "no version"
        raise FeedError(
            f"The tables in schema '{schema}' have layout {has}, and this program writes layout"
            f" {POSTGRES_LAYOUT_VERSION}. Use the version of ceems-grpc that created them, or feed into a new schema"
            " (--schema) and drop this one when the new one is filled."
        )


def _make_tables(connection: PostgresConnection, schema: str) -> None:
    allowed = connection.fetch(
        f"SELECT CASE WHEN to_regnamespace({text(quote(schema))}) IS NULL"
        " THEN has_database_privilege(current_database(), 'CREATE')"
        f" ELSE has_schema_privilege(to_regnamespace({text(quote(schema))})::oid, 'CREATE') END"
    )
    if not allowed.column(0)[0].as_py():
        raise FeedError(
            f"Schema '{schema}' has no tables of CEEMS, and this role may not create them. Run the statements of "
            "`ceems-grpc feed --print-setup` as the owner (docs/postgres.md), or use a role that may create tables."
        )
    connection.run("BEGIN")
    try:
        for statement in setup_statements(schema):
            connection.run(statement)
        connection.run("COMMIT")
    except BaseException:
        connection.run("ROLLBACK")
        raise
    _log.info("tables created", extra={"schema": schema})


def _describe(settings: FeedSettings) -> tuple[Facts, tzinfo]:
    """Describe the file. The store is closed at once, because the follower can use another copy of SQLite."""

    async def describe() -> tuple[Facts, tzinfo]:
        store = SqliteStore(settings.path, zone=settings.zone)
        try:
            async with store.read() as reader:
                zone = reader.zone
            return await store.facts(), zone
        finally:
            await store.close()

    with ThreadPoolExecutor(1) as pool:  # this thread may already run an event loop
        return pool.submit(lambda: asyncio.run(describe())).result()
