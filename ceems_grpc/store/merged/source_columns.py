"""The columns of a table in one of several sources, and the rows of the table that count."""

import json
from collections.abc import Iterable, Mapping

import pyarrow as pa

from ceems_grpc.schema import ADMINISTERED
from ceems_grpc.store.columnar.flatten import decode_list
from ceems_grpc.store.errors import StoreSchemaError
from ceems_grpc.store.merged.session import KnownSession
from ceems_grpc.store.plan import Condition, Table
from ceems_grpc.store.plan.pruning import holding_only, within, without_missing
from ceems_grpc.store.protocols import Reader


class SourceColumns:
    """The columns of a table in a source.

    ``fill``: values that columns which the source lacks would hold in every row.
    """

    def __init__(self, session: KnownSession, reader: Reader, table: Table) -> None:
        self._reader = reader
        self._table = table
        self._clusters: frozenset[str] | None = None
        self._lists: Mapping[str, frozenset[str]] = {}
        self._held = session.known.clusters
        self.fill: Mapping[str, str] = {}
        if reader.has(Table.ADMIN_USERS, ADMINISTERED):
            return  # the source itself merges several sites, and already lists who administers what
        if table is Table.ADMIN_USERS:
            # Administrators of a source administer its clusters, and no others.
            self._lists = {ADMINISTERED: self._held}
            self.fill = {ADMINISTERED: json.dumps(sorted(self._held))}
        elif not session.known.nowhere:
            self._clusters = self._held

    def has(self, column: str) -> bool:
        """Return whether the source has the column."""
        return self._reader.has(self._table, column)

    def where(self, condition: Condition) -> Condition:
        """Return the condition, simplified for this source."""
        left = without_missing(condition, self.has, self._lists)
        if self._table is Table.ADMIN_USERS:
            left = holding_only(left, ADMINISTERED, self._held)
        return left if self._clusters is None else within(left, self._clusters)

    def only_own_clusters(self, rows: pa.Table) -> pa.Table:
        """Return the rows without rights on clusters that the source does not hold.

        Otherwise the writer of one source's database could grant rights on the clusters of another.
        """
        if self._table is not Table.ADMIN_USERS or ADMINISTERED not in rows.column_names:
            return rows
        lists = [
            json.dumps([cluster for cluster in map(str, decode_list(text)) if cluster in self._held])
            for text in rows.column(ADMINISTERED).to_pylist()
        ]
        place = rows.column_names.index(ADMINISTERED)
        return rows.set_column(place, ADMINISTERED, pa.array(lists, pa.string()))

    def check(self) -> None:
        """Raise `StoreSchemaError` if the source lacks the table."""
        if not self._reader.has(self._table):
            raise StoreSchemaError(f"It has no table {self._table}: it was made by an older version of CEEMS.")

    def is_foreign(self, columns: Iterable[str]) -> bool:
        """Return whether the source stores its administrators in another form. Raises if another table is missing."""
        if self._table is not Table.ADMIN_USERS:
            self.check()
            return False
        return not all(self.has(column) or column in self.fill for column in columns)
