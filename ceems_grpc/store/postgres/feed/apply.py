"""Write the changes that a feeder has collected to the tables of PostgreSQL, within the feeder's transactions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ceems_grpc.store.columnar.layout import MOMENT, ROW, CannotMirrorError, quote, text
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.connection import PostgresConnection
from ceems_grpc.store.postgres.feed.catalog import transaction
from ceems_grpc.store.postgres.feed.rollups import DAY_SECONDS, empty_statements, rebuild_statements
from ceems_grpc.store.postgres.schema import LARGE_TABLES, PART, SITE, Placement, TableCatalog

ALL_CLUSTERS = "all"
"""The cluster id of administrators of all clusters."""
_IDS_AT_ONCE = 20_000
_REBUILD_DAYS = 28
_DETACHED = 1 << 40  # subtracted from a row id for every time that rows were detached


class ClusterTakenError(Exception):
    """The rows have a cluster that belongs to another site. The message is a sentence."""


@dataclass(slots=True)
class Work:
    """The changes of one table: ids to delete, rows to add, and ids to detach, which stay as kept history."""

    gone: list[int] = field(default_factory=list)
    rows: list[pa.Table] = field(default_factory=list)
    detached: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of changed rows."""
        return len(self.gone) + len(self.detached) + sum(len(rows) for rows in self.rows)


class Writer:
    """Writes the rows of one site."""

    def __init__(self, connection: PostgresConnection, schema: str, site: str, kind: Placement) -> None:
        self._connection = connection
        self._schema = schema
        self._space = quote(schema)
        self._site = site
        self._kind = kind
        self._where = f"{SITE} = {text(site)}"

    def write(self, gathered: Mapping[Table, Work], claims: set[str], detachings: int) -> int:
        """Write all changes, and return the number of rows that were added.

        ``claims``: cluster ids that are new to the site. Raises `ClusterTakenError` if one belongs to another site.
        ``detachings``: how often rows have been detached, including this time.
        """
        if claims:
            self._claim(claims)
        added = 0
        for table, work in gathered.items():
            if work.detached:
                self._detach(table, work.detached, detachings)
            for start in range(0, len(work.gone), _IDS_AT_ONCE):
                ids = array_of(work.gone[start : start + _IDS_AT_ONCE])
                self._connection.run(
                    f"DELETE FROM {self._name(table)} WHERE {self._where} AND {quote(ROW)} = ANY({ids})"  # noqa: S608 - quoted
                )
            rows = [part for part in work.rows if part.num_rows]
            if rows:
                self._insert(table, pa.concat_tables(rows, promote_options="default"))
                added += sum(part.num_rows for part in rows)
        if Table.ADMIN_USERS in gathered or claims:
            self._write_administered()
        return added

    def rebuild_rollups(self, catalog: TableCatalog) -> None:
        """Compute all hours and days of the site again, with one transaction for every four weeks."""
        with transaction(self._connection):
            for statement in empty_statements(self._schema, self._site):
                self._connection.run(statement)
        first, last = (
            self._one(
                f"SELECT {quote(MOMENT)} FROM {self._name(Table.UNITS)} WHERE {self._where}"  # noqa: S608 - quoted names
                f" AND {quote(MOMENT)} IS NOT NULL ORDER BY {quote(MOMENT)} {order} LIMIT 1"
            )
            for order in ("ASC", "DESC")
        )
        if first is None:
            return
        step = _REBUILD_DAYS * DAY_SECONDS
        for start in range(first // DAY_SECONDS * DAY_SECONDS, last + 1, step):
            with transaction(self._connection):
                for statement in rebuild_statements(self._schema, self._site, catalog, start, start + step):
                    self._connection.run(statement)

    def _insert(self, table: Table, rows: pa.Table) -> None:
        if self._kind != "foreign" or table not in LARGE_TABLES:
            self._connection.copy(self._schema, table, rows)
            return
        # COPY sends rows to foreign partitions one by one (until PostgreSQL 16); INSERT sends them in batches.
        names = ", ".join(map(quote, rows.column_names))
        self._connection.run(
            f"CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS SELECT {names} FROM {self._name(table)} WITH NO DATA"  # noqa: S608
        )
        self._connection.copy(self._one("SELECT pg_my_temp_schema()::regnamespace::text"), "incoming", rows)
        self._connection.run(
            f"INSERT INTO {self._name(table)} ({names}) SELECT {names} FROM pg_temp.incoming ORDER BY {PART}"  # noqa: S608
        )
        self._connection.run("DROP TABLE pg_temp.incoming")

    def _detach(self, table: Table, ids: list[int], detachings: int) -> None:
        if max(ids) >= _DETACHED:
            raise CannotMirrorError(f"a row id of {table} is too large to be kept as history")
        shift = detachings * _DETACHED
        for start in range(0, len(ids), _IDS_AT_ONCE):
            chosen = array_of(ids[start : start + _IDS_AT_ONCE])
            self._connection.run(
                f"UPDATE {self._name(table)} SET {quote(ROW)} = {quote(ROW)} - {shift}"  # noqa: S608 - quoted names
                f" WHERE {self._where} AND {quote(ROW)} = ANY({chosen})"
            )

    def _claim(self, claims: set[str]) -> None:
        """Record that clusters belong to this site. Raises `ClusterTakenError` if one belongs to another site."""
        values = ", ".join(f"({text(name)}, {text(self._site)})" for name in sorted(claims))
        self._connection.run(f"INSERT INTO {self._space}.clusters VALUES {values} ON CONFLICT DO NOTHING")  # noqa: S608
        listed = ", ".join(map(text, sorted(claims)))
        found = self._connection.fetch(
            f"SELECT cluster_id, {SITE} FROM {self._space}.clusters"  # noqa: S608 - quoted names and texts
            f" WHERE cluster_id IN ({listed}) AND {SITE} <> {text(self._site)} ORDER BY 1"
        )
        for cluster, owner in zip(*(column.to_pylist() for column in found.columns), strict=True):
            raise ClusterTakenError(
                f"The file of site '{self._site}' has cluster '{cluster}', which site '{owner}' feeds already. "
                "Cluster ids must differ between sites: give one of the clusters another id in the configuration of "
                "its CEEMS API server, or feed this file under the other site's name."
            )

    def _write_administered(self) -> None:
        """Write the clusters of each administrator: those of the site, or the one that the row names."""
        mine = (
            f"(SELECT coalesce(json_agg(cluster_id ORDER BY cluster_id), '[]')::text FROM {self._space}.clusters"  # noqa: S608
            f" WHERE {self._where})"
        )
        one = f"cluster_id IS NULL OR cluster_id IN ('', {text(ALL_CLUSTERS)})"
        self._connection.run(
            f"UPDATE {self._name(Table.ADMIN_USERS)} SET clusters ="  # noqa: S608 - quoted names and texts
            f" CASE WHEN {one} THEN {mine} ELSE json_build_array(cluster_id)::text END WHERE {self._where}"
        )

    def _name(self, table: Table) -> str:
        return f"{self._space}.{quote(table)}"

    def _one(self, statement: str) -> Any:  # noqa: ANN401 - whatever the statement asks for
        found = self._connection.fetch(statement)
        return found.column(0)[0].as_py() if found.num_rows else None


def array_of(values: Iterable[int]) -> str:
    """Write row ids as an array literal: postgres_fdw does not push down a parameter that is cast to an array."""
    return "'{" + ",".join(map(str, values)) + "}'::bigint[]"
