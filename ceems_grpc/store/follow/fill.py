"""Copy a whole database into a target, batch by batch, in one read transaction."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from ceems_grpc.store.columnar.layout import COLUMN_LAYOUT_VERSION, Meta
from ceems_grpc.store.columnar.typed_rows import TypedRows
from ceems_grpc.store.columnar.zone_text import zone_of_text
from ceems_grpc.store.follow.ahead import ahead
from ceems_grpc.store.follow.target import NewTarget
from ceems_grpc.store.plan import Table
from ceems_grpc.store.sqlite.source_rows import Rows, consistent_version, read_layout


def fill_target(
    target: NewTarget,
    rows: Rows,
    source: Path,
    zone: str,
    *,
    threads: bool = False,
    duck: duckdb.DuckDBPyConnection | None = None,
) -> Meta:
    """Fill the target with the current content of the database, and return the target's new state.

    ``zone``: in the form of `text_of_zone`. ``threads``: read, convert and write in one thread each. ``duck``: see
    `TypedRows`. Raises `CannotMirrorError`, duckdb.Error and the errors of the target and of ``rows``, after the
    target has rolled back.
    """
    rows.one("BEGIN")
    try:
        version = consistent_version(source, rows)
        layout = read_layout(rows, zone)
        page_size = int(rows.one("PRAGMA page_size"))
        target.begin()
        try:
            for name, table in layout.tables.items():
                typed = TypedRows(Table(name), table, zone_of_text(zone), page_size, duck)
                with _typed(typed, rows.batches(typed.source()), threads=threads) as tables:
                    target.rewrite(Table(name), table, tables)
            meta = Meta(os.urandom(8).hex(), COLUMN_LAYOUT_VERSION, str(source.absolute()), version, layout)
            target.commit(meta)
        except BaseException:
            target.rollback()
            raise
    finally:
        rows.one("ROLLBACK")
    return meta


@contextmanager
def _typed(typed: TypedRows, batches: Iterator[pa.RecordBatch], *, threads: bool) -> Iterator[Iterator[pa.Table]]:
    if not threads:
        yield typed.all(batches)
        return
    with ahead(batches) as read, ahead(typed.all(read)) as tables:
        yield tables
