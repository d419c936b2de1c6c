"""Brings a mirror up to date by the rows that commits have touched, in one transaction of the mirror."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from ceems_grpc.store.mirror_file import Mirror
from ceems_grpc.store.mirror_fill import PythonRows, consistent_version
from ceems_grpc.store.mirror_layout import LARGE, LAYOUT_VERSION, ROW, Layout, Meta, quote, write_state
from ceems_grpc.store.mirror_load import Loader
from ceems_grpc.store.plan import Table
from ceems_grpc.store.wal import Changes, changes_since

_SMALL = 1_000  # rows; smaller tables are read anew as a whole
_MOST = 30_000  # rows; more of them are faster read by filling


def catch_up(mirror: Mirror, connection: sqlite3.Connection, source: Path, *, across_restarts: bool) -> bool:
    """Bring the mirror to the database's present state; False where it must be made anew.

    ``across_restarts``: the connection was open, on the same file, since the mirror's state was taken. Raises
    sqlite3.Error, duckdb.Error and `CannotMirrorError`; the mirror is then as it was.
    """
    connection.execute("BEGIN")
    try:
        rows = PythonRows(connection)
        version = consistent_version(source, rows)
        meta = mirror.meta
        if version == meta.version:
            return True
        if rows.one("PRAGMA schema_version") != meta.layout.schema_cookie:
            return False
        changes = changes_since(source, meta.version, version, across_restarts=across_restarts)
        if changes is None:
            return False
        return _Change(mirror, rows, changes).make(
            lambda layout: Meta(os.urandom(8).hex(), LAYOUT_VERSION, meta.source, version, layout)
        )
    finally:
        connection.execute("ROLLBACK")


class _Change:
    def __init__(self, mirror: Mirror, rows: PythonRows, changes: Changes) -> None:
        self._mirror = mirror
        self._rows = rows
        self._changes = changes
        self._page_size = int(rows.one("PRAGMA page_size"))
        # Readers go on with the layout that they have.
        self._layout = msgspec.json.decode(msgspec.json.encode(mirror.meta.layout), type=Layout)
        self._written = 0

    def make(self, describe: Any) -> bool:  # noqa: ANN401 - a function from layout to meta
        duck = self._mirror.duck.cursor()
        try:
            duck.execute("BEGIN")
            for name in self._layout.tables:
                if not self._table(duck, Table(name)):
                    duck.execute("ROLLBACK")
                    return False
            meta = describe(self._layout)
            write_state(duck, meta)
            duck.execute("COMMIT")
        finally:
            duck.close()
        self._mirror.meta = meta
        self._mirror.rewritten += self._written
        return True

    def _table(self, duck: Any, table: Table) -> bool:  # noqa: ANN401 - duckdb's connection
        name = quote(table)
        layout = self._layout.tables[table]
        loader = Loader(duck, table, layout, self._mirror.zone, self._page_size)
        # A row may hold fewer columns than its table has (ALTER TABLE), never more.
        ids: set[int] = set()
        for columns, found in self._changes.rows.items():
            if columns <= len(layout.columns):
                ids |= found
        ((before,),) = duck.execute(f"SELECT count(*) FROM {name}").fetchall()  # noqa: S608 - a quoted name
        count = int(self._rows.one(f"SELECT count(*) FROM {name}"))  # noqa: S608
        if not ids and not self._changes.other_pages and before == count:
            return True
        if max(before, count) <= _SMALL:
            duck.execute(f"DELETE FROM {name}")  # noqa: S608
            loader.add_all(self._rows.batches(loader.source()))
            return True
        if self._changes.other_pages:
            large = duck.execute(f"SELECT {quote(ROW)} FROM {name} WHERE {quote(LARGE)} LIMIT {_MOST + 1}").fetchall()  # noqa: S608
            ids.update(row for (row,) in large)
        if len(ids) > _MOST:
            return False
        self._replace(duck, name, loader, ids)
        ((after,),) = duck.execute(f"SELECT count(*) FROM {name}").fetchall()  # noqa: S608
        if after != count:
            self._delete_gone(duck, name)
            ((after,),) = duck.execute(f"SELECT count(*) FROM {name}").fetchall()  # noqa: S608
        return bool(after == count)

    def _replace(self, duck: Any, name: str, loader: Loader, ids: set[int]) -> None:  # noqa: ANN401
        self._written += len(ids)
        ordered = sorted(ids)
        _delete(duck, name, pa.table({"id": pa.array(ordered, pa.int64())}), "IN")
        listed = msgspec.json.encode(ordered).decode()
        statement = f"{loader.source()} WHERE rowid IN (SELECT value FROM json_each(?))"  # noqa: S608 - quoted names
        batches = [pa.Table.from_batches([batch]) for batch in self._rows.batches(statement, (listed,))]
        if batches:
            loader.add(pa.concat_tables(batches).combine_chunks())

    def _delete_gone(self, duck: Any, name: str) -> None:  # noqa: ANN401
        """Delete rows that the database has no more; the ids are read from whichever index is smallest."""
        listed = self._rows.one(f"SELECT group_concat(rowid) FROM {name}") or ""  # noqa: S608
        ids = pa.array([int(text) for text in listed.split(",") if text], pa.int64())
        _delete(duck, name, pa.table({"id": ids}), "NOT IN")


def _delete(duck: Any, name: str, ids: pa.Table, operator: str) -> None:  # noqa: ANN401
    duck.register("mirror_ids", ids)
    try:
        duck.execute(f"DELETE FROM {name} WHERE {quote(ROW)} {operator} (SELECT id FROM mirror_ids)")  # noqa: S608
    finally:
        duck.unregister("mirror_ids")
