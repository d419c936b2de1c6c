"""One feeder: a database file on one side, PostgreSQL on the other, and what keeps the second as the first is."""

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
_OF_THE_FILE = "[SQLite]"  # in messages of the driver that reads the file, which raises the same errors


class FeedError(Exception):
    """The feeder cannot go on until somebody has changed something; the message is a sentence that says what."""


class SiteConflictError(FeedError):
    """The file has a cluster of another site."""


class FedTwiceError(FeedError):
    """Another feeder feeds this site now."""


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What is fed, and to where. ``zone``: of the file's local times; None guesses it as data sources do."""

    path: Path
    address: Address
    site: str
    schema: str = "ceems"
    zone: ZoneInfo | None = None
    keep_history: bool = False


class Feeder:
    """Feeds one site, from one thread. Only one feeder feeds a site: `open` raises `FedTwiceError` for a second one.

    ``open_rows``: how the file is read, see `SourceFollower`. ``progress``: called with the rows that were looked at.
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
        self.units = 0  # in the file, when it was opened
        self._connection: PostgresConnection | None = None
        self._target: PostgresTarget | None = None
        self._follower: SourceFollower | None = None

    @property
    def target(self) -> PostgresTarget:
        """Where rows go; only while the feeder is open."""
        assert self._target is not None  # noqa: S101 - opened before
        return self._target

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._follower is not None

    def open(self) -> None:
        """Connect, make the tables where there are none, and take the right to feed the site.

        Raises `StoreError` where the file or the server cannot be read, and `FeedError`.
        """
        settings = self._settings
        facts, zone = _look(settings)
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
        """Look at the file, and write what has changed.

        Raises `StoreError` for errors of PostgreSQL and of reading the file, `FeedError` for what somebody must change,
        and what else `SourceFollower.step` raises. After any error the feeder is closed, and may be opened again.
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
            self.close()  # whatever it was: what is open may be of a state that is gone
            raise

    def close(self) -> None:
        """Let go of the file, the connection and the right to feed the site."""
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
                f"Another feeder feeds site '{settings.site}' into this database now. Stop one of the two, give the "
                "sites different names (--site), or start this one with --wait to take over when the other ends."
            )
        site = FeedSite(settings.site, text_of_zone(zone), facts.schema_version, settings.keep_history, dict(WEIGHTS))
        self._target = PostgresTarget(connection, settings.schema, site, self._progress)
        self._follower = SourceFollower(settings.path, self._target, zone, self._open_rows)


def ensure_tables(connection: PostgresConnection, schema: str) -> None:
    """Make the tables where there are none. Raises `FeedError` if the role may not, or they have another version."""
    found = connection.fetch(f"SELECT to_regclass({text(f'{quote(schema)}.layout')}) IS NOT NULL").column(0)[0].as_py()
    if not found:
        _make_tables(connection, schema)
    rows = connection.fetch(f"SELECT version FROM {quote(schema)}.layout").column(0).to_pylist()  # noqa: S608
    if rows != [POSTGRES_LAYOUT_VERSION]:
        has = rows[0] if rows else "no version"
        raise FeedError(
            f"The tables in schema '{schema}' have layout {has}, and this program writes layout"
            f" {POSTGRES_LAYOUT_VERSION}. Use the version of ceems-grpc that made them, or feed into a new schema"
            " (--schema) and drop this one when that is filled."
        )


def _make_tables(connection: PostgresConnection, schema: str) -> None:
    allowed = connection.fetch(
        f"SELECT CASE WHEN to_regnamespace({text(quote(schema))}) IS NULL"
        " THEN has_database_privilege(current_database(), 'CREATE')"
        f" ELSE has_schema_privilege(to_regnamespace({text(quote(schema))})::oid, 'CREATE') END"
    )
    if not allowed.column(0)[0].as_py():
        raise FeedError(
            f"Schema '{schema}' has no tables of CEEMS, and this role may not make them. Run the statements of "
            "`ceems-grpc feed --print-setup` as the owner (docs/postgres.md), or feed as a role that may create."
        )
    connection.run("BEGIN")
    try:
        for statement in setup_statements(schema):
            connection.run(statement)
        connection.run("COMMIT")
    except BaseException:
        connection.run("ROLLBACK")
        raise
    _log.info("the tables were made", extra={"schema": schema})


def _look(settings: FeedSettings) -> tuple[Facts, tzinfo]:
    """Read what the file is, through a store that is closed again: the follower may read with another SQLite."""

    async def look() -> tuple[Facts, tzinfo]:
        store = SqliteStore(settings.path, zone=settings.zone)
        try:
            async with store.read() as reader:
                zone = reader.zone
            return await store.facts(), zone
        finally:
            await store.close()

    with ThreadPoolExecutor(1) as pool:  # there may be an event loop in this thread
        return pool.submit(lambda: asyncio.run(look())).result()
