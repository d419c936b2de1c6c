"""Update a copy of a database with the rows that commits have changed, in one transaction of the copy."""

import os
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.columnar.layout import COLUMN_LAYOUT_VERSION, ROW, Layout, Meta, quote
from ceems_grpc.store.columnar.typed_rows import TypedRows
from ceems_grpc.store.columnar.zone_text import zone_of_text
from ceems_grpc.store.follow.target import Target
from ceems_grpc.store.plan import Table
from ceems_grpc.store.sqlite.source_rows import Rows, consistent_version
from ceems_grpc.store.sqlite.wal_changes import Changes, SeenRows, changes_since

_Duck = duckdb.DuckDBPyConnection | None
_SMALL = 1_000  # rows; a table with fewer is read again as a whole
_MOST = 30_000  # changed rows; reading more of them takes longer than filling again
_OLDEST = 8_192  # rows; deleted rows are searched among these first


def catch_up(
    target: Target,
    rows: Rows,
    source: Path,
    *,
    across_restarts: bool,
    seen: SeenRows,
    duck: _Duck = None,
) -> bool:
    """Bring the target to the current state of the database. Return False if the target must be filled again.

    ``across_restarts``: ``rows`` has been open on the same file ever since the target's state was taken. ``seen``: the
    digests from earlier calls for this target, which make this call cheaper. ``duck``: see `TypedRows`.

    Raises `CannotMirrorError`, duckdb.Error and the errors of the target and of ``rows``. After an error, and when
    this returns False, the target is unchanged.
    """
    meta = target.meta
    if meta is None or target.needs_rebuild:
        return False
    rows.one("BEGIN")
    try:
        version = consistent_version(source, rows)
        if version == meta.version:
            return True
        if rows.one("PRAGMA schema_version") != meta.layout.schema_cookie:
            return False
        changes = changes_since(source, meta.version, version, across_restarts=across_restarts, seen=seen)
        if changes is None:
            return False
        # Readers continue to use the old layout object.
        layout = msgspec.json.decode(msgspec.json.encode(meta.layout), type=Layout)
        target.begin()
        done = False
        try:
            seen.remember(changes, meta.version, version)
            if _Change(target, rows, changes, layout, seen=seen, duck=duck).make():
                target.commit(Meta(os.urandom(8).hex(), COLUMN_LAYOUT_VERSION, meta.source, version, layout))
                done = True
        finally:
            if not done:
                seen.forget_up_to(None)
                target.rollback()
        return done
    finally:
        rows.one("ROLLBACK")


class _Change:
    def __init__(
        self, target: Target, rows: Rows, changes: Changes, layout: Layout, *, seen: SeenRows, duck: _Duck
    ) -> None:
        self._target = target
        self._rows = rows
        self._changes = changes
        self._layout = layout
        self._seen = seen
        self._duck = duck
        self._lost = {columns: set(ids) for columns, ids in changes.rows.items()}  # not yet found in a table
        self._page_size = int(rows.one("PRAGMA page_size"))

    def make(self) -> bool:
        done = all(self._table(Table(name)) for name in self._layout.tables)
        for columns, ids in self._lost.items():
            self._seen.forget(columns, ids)
        return done

    def _table(self, table: Table) -> bool:
        name = quote(table)
        layout = self._layout.tables[table]
        # A row can have fewer columns than its table (after ALTER TABLE), but never more.
        ids: set[int] = set()
        for columns, found in self._changes.rows.items():
            if columns <= len(layout.columns):
                ids |= found
        before = self._target.count(table)
        count = int(self._rows.one(f"SELECT count(*) FROM {name}"))  # noqa: S608 - a quoted name
        if not ids and not self._changes.other_pages and before == count:
            return True
        typed = TypedRows(table, layout, zone_of_text(self._layout.zone), self._page_size, self._duck)
        if max(before, count) <= _SMALL:
            self._target.rewrite(table, layout, typed.all(self._rows.batches(typed.source())))
            self._seen.keep(len(layout.columns), self._ids(table, None).to_pylist())
            return True
        if self._changes.other_pages:
            ids.update(self._target.large(table, _MOST + 1))
        if len(ids) > _MOST:
            return False
        self._replace(table, typed, ids)
        # Now the target has every row of the database, and perhaps some that were deleted.
        if self._target.count(table) != count:
            self._delete_gone(table, _OLDEST)
        if self._target.count(table) != count:
            self._delete_gone(table, None)
        return self._target.count(table) == count

    def _replace(self, table: Table, typed: TypedRows, ids: set[int]) -> None:
        ordered = sorted(ids)
        listed = ",".join(map(str, ordered))
        # One JSON array, because SQLite limits a list of values more strictly than the length of a text.
        statement = f"{typed.source()} WHERE rowid IN (SELECT value FROM json_each('[{listed}]'))"  # noqa: S608 - numbers
        batches = [pa.table(batch) for batch in self._rows.batches(statement)]
        rows = pa.concat_tables(batches).combine_chunks() if batches else pa.table({})
        if batches:
            self._found(len(self._layout.tables[table].columns), rows.column(ROW).to_pylist())
            rows = typed.typed(rows)
        self._target.replace(table, self._layout.tables[table], pa.array(ordered, pa.int64()), rows)

    def _found(self, most: int, ids: list[int]) -> None:
        for columns, lost in self._lost.items():
            if columns <= most:
                lost.difference_update(ids)

    def _delete_gone(self, table: Table, oldest: int | None) -> None:
        """Delete rows that the database no longer has, among the oldest rows (which retention deletes) or all rows."""
        ids = self._ids(table, oldest)
        last = None if oldest is None or len(ids) < oldest else pc.max(ids).as_py()
        self._target.keep(table, ids, last)
        self._seen.forget_up_to(last)

    def _ids(self, table: Table, oldest: int | None) -> pa.Array:
        """Return the ids of the oldest rows, or of all rows, in no order."""
        # SQLite reads the ids of all rows from the smallest index.
        among = "" if oldest is None else f" ORDER BY rowid LIMIT {oldest:d}"
        listed = self._rows.one(f"SELECT group_concat(id) FROM (SELECT rowid AS id FROM {quote(table)}{among})")  # noqa: S608
        return pc.cast(pc.list_flatten(pc.split_pattern(pa.array([listed or None], pa.string()), ",")), pa.int64())
