"""The state of a PostgreSQL database at one moment: its sites, and the columns of their tables."""

import logging
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from ceems_grpc.schema import ADMINISTERED
from ceems_grpc.store.columnar.layout import quote, text
from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES
from ceems_grpc.store.columnar.zone_text import zone_of_text
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.connection import Address, Error, PostgresConnection
from ceems_grpc.store.postgres.dialect import Catalog
from ceems_grpc.store.postgres.errors import explain, is_no_such, never_fed, not_set_up, too_old
from ceems_grpc.store.postgres.schema import POSTGRES_LAYOUT_VERSION, TableCatalog

_log = logging.getLogger(__name__)
_STALE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """The row of a site in table ``sites``. ``newest``: seconds since 1970. ``fed_at``: in UTC."""

    name: str
    zone: str
    schema_version: int
    commits: int
    newest: int | None
    units: int
    resources: tuple[tuple[str, str], ...]
    complete: bool
    rollups: bool
    fed_at: datetime

    @property
    def problem(self) -> str:
        """What is wrong with the feeding of the site; "" if nothing is."""
        if not self.complete:
            return "its feeder has not written all rows yet, so answers lack some"
        if datetime.now(UTC) - self.fed_at > _STALE:
            return f"its feeder last wrote {self.fed_at:%Y-%m-%d %H:%M} UTC (check that `ceems-grpc feed` runs)"
        return ""


@dataclass(frozen=True, slots=True)
class State:
    """The state of the database at one moment."""

    sites: tuple[SiteStatus, ...]
    catalog: Catalog
    zone: tzinfo

    @property
    def version(self) -> Hashable:
        """A value that changes with every commit of a feeder."""
        return tuple((site.name, site.commits) for site in self.sites)


class StateReader:
    """Reads the state of one schema of a database. It caches the columns of the tables until a feeder commits."""

    def __init__(self, address: Address, schema: str) -> None:
        self._address = address
        self._schema = schema
        self._known: tuple[Hashable, dict[str, TableCatalog]] | None = None
        self._warned = False

    def begin(self, connection: PostgresConnection) -> State:
        """Begin a transaction, and return the state that it sees. Blocks. Raises `StoreError` and `Error`."""
        connection.begin()
        try:
            rows = connection.fetch(self._statement_of_sites()).to_pylist()
            return self._state_of(connection, rows)
        except Error as error:
            if not is_no_such(error):
                raise
            connection.run("ROLLBACK")
            raise self._schema_trouble(connection) from error

    def _state_of(self, connection: PostgresConnection, rows: list[dict[str, Any]]) -> State:
        version = rows[0]["version"] if rows else 0
        if version < POSTGRES_LAYOUT_VERSION:
            raise too_old(self._address, self._schema, version, POSTGRES_LAYOUT_VERSION)
        if version > POSTGRES_LAYOUT_VERSION and not self._warned:
            self._warned = True
            _log.warning(
                "the tables in PostgreSQL were made by a newer feeder: update the plugin",
                extra={"database": self._address.shown, "version": version, "known": POSTGRES_LAYOUT_VERSION},
            )
        sites = tuple(_site(row) for row in rows if row["site"] is not None)
        if not sites:
            raise never_fed(self._address, self._schema)
        tables = self._tables(connection, tuple((site.name, site.commits) for site in sites))
        rollups = all(site.rollups for site in sites)
        names = tuple(site.name for site in sites)
        catalog = Catalog(self._schema, tables, names, rollups, tuple(rows[0]["shards"] or ()))
        zones = {site.zone for site in sites}
        return State(sites, catalog, zone_of_text(zones.pop()) if len(zones) == 1 else SEVERAL_ZONES)

    def _tables(self, connection: PostgresConnection, version: Hashable) -> dict[str, TableCatalog]:
        known = self._known
        if known is not None and known[0] == version:
            return known[1]
        tables: dict[str, TableCatalog] = {}
        statement = f"SELECT table_name, layout::text AS layout FROM {quote(self._schema)}.catalog"  # noqa: S608
        for row in connection.fetch(statement).to_pylist():
            tables[row["table_name"]] = msgspec.json.decode(row["layout"], type=TableCatalog)
        admins = tables.get(Table.ADMIN_USERS)
        if admins is not None and ADMINISTERED not in admins.columns:
            admins.columns = (*admins.columns, ADMINISTERED)
        self._known = (version, tables)
        return tables

    def _statement_of_sites(self) -> str:
        schema = quote(self._schema)
        units = text(f"{schema}.{quote(Table.UNITS)}")
        shards = (
            "SELECT array_agg(relname::text ORDER BY relname) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"  # noqa: S608
            f" WHERE inhparent = to_regclass({units})"
        )
        return (
            f"SELECT version, CASE WHEN kind = 'foreign' THEN ({shards}) END AS shards, site, zone,"  # noqa: S608
            " schema_version, commits, newest, units, resources::text AS resources, complete, rollups, fed_at"
            f" FROM {schema}.layout LEFT JOIN {schema}.sites ON true ORDER BY site"
        )

    def _schema_trouble(self, connection: PostgresConnection) -> StoreError:
        try:
            rows = connection.fetch(f"SELECT version FROM {quote(self._schema)}.layout")  # noqa: S608
        except Error as error:
            return not_set_up(self._address, self._schema) if is_no_such(error) else explain(self._address, error)
        versions = rows.column(0).to_pylist()
        if not versions or versions[0] > POSTGRES_LAYOUT_VERSION:
            return not_set_up(self._address, self._schema)
        return too_old(self._address, self._schema, versions[0], POSTGRES_LAYOUT_VERSION)


def _site(row: dict[str, Any]) -> SiteStatus:
    return SiteStatus(
        name=row["site"],
        zone=row["zone"],
        schema_version=row["schema_version"],
        commits=row["commits"],
        newest=row["newest"],
        units=row["units"],
        resources=tuple((str(cluster), str(manager)) for cluster, manager in msgspec.json.decode(row["resources"])),
        complete=row["complete"],
        rollups=row["rollups"],
        fed_at=row["fed_at"],
    )
