"""The DuckDB tables of the mirror, as targets for filling and following."""

from collections.abc import Iterable, Iterator

import duckdb
import msgspec
import pyarrow as pa

from ceems_grpc.schema import INTEGERS, METRIC_TABLES
from ceems_grpc.store.columnar.layout import DAY, GROUP, LARGE, MOMENT, ROW, Meta, TableLayout, list_column, quote
from ceems_grpc.store.columnar.typed_rows import lists_of
from ceems_grpc.store.duckdb.files import Mirror
from ceems_grpc.store.duckdb.groups import create_groups, number_groups
from ceems_grpc.store.plan import Table

_ROW_GROUP = 122_880  # rows of a row group in DuckDB


class NewMirror:
    """A file that becomes a mirror; see `NewTarget`. It is unfinished until its state is written, which comes last."""

    def __init__(self, duck: duckdb.DuckDBPyConnection) -> None:
        self._duck = duck

    def begin(self) -> None:
        """Do nothing, because one transaction over millions of rows would only slow down filling."""

    def rewrite(self, table: Table, layout: TableLayout, rows: Iterable[pa.Table]) -> None:
        """Create the table and fill it in batches of DuckDB's row groups."""
        writer = self._duck.cursor()  # typing the rows uses the connection at the same time
        try:
            _create(writer, table, layout)
            _insert(writer, table, layout, rows)
        finally:
            writer.close()

    def commit(self, meta: Meta) -> None:
        """Write the state."""
        _write_state(self._duck, meta)
        self._duck.execute("CHECKPOINT")

    def rollback(self) -> None:
        """Do nothing, because the caller deletes the file."""


class OpenMirror:
    """A mirror that answers while it is being updated; see `Target`."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._duck = mirror.duck.cursor()
        self._written = 0

    @property
    def meta(self) -> Meta:
        """The state that the mirror shows."""
        return self._mirror.meta

    @property
    def needs_rebuild(self) -> bool:
        """Whether there are too many holes in the file."""
        return self._mirror.needs_rebuild

    @property
    def duck(self) -> duckdb.DuckDBPyConnection:
        """The connection that writes."""
        return self._duck

    def begin(self) -> None:
        """Begin a transaction."""
        self._written = 0
        self._duck.execute("BEGIN")

    def rewrite(self, table: Table, layout: TableLayout, rows: Iterable[pa.Table]) -> None:
        """Empty the table and fill it. It already has the columns, because another schema has another mirror."""
        self._duck.execute(f"DELETE FROM {quote(table)}")  # noqa: S608 - a quoted name
        _insert(self._duck, table, layout, rows)

    def count(self, table: Table) -> int:
        """Return the number of rows."""
        ((count,),) = self._duck.execute(f"SELECT count(*) FROM {quote(table)}").fetchall()  # noqa: S608 - a quoted name
        return int(count)

    def large(self, table: Table, most: int) -> list[int]:
        """Return ids of rows that may not fit on a page."""
        statement = f"SELECT {quote(ROW)} FROM {quote(table)} WHERE {quote(LARGE)} LIMIT {most:d}"  # noqa: S608
        return [row for (row,) in self._duck.execute(statement).fetchall()]

    def replace(self, table: Table, layout: TableLayout, ids: pa.Int64Array, rows: pa.Table) -> None:
        """Delete rows and add rows."""
        self._written += len(ids)
        self._delete(table, ids, "IN")
        _insert(self._duck, table, layout, [rows])

    def keep(self, table: Table, ids: pa.Int64Array, last: int | None) -> None:
        """Delete all rows but these."""
        self._delete(table, ids, "NOT IN", "" if last is None else f" AND {quote(ROW)} <= {last:d}")

    def commit(self, meta: Meta) -> None:
        """Write the state and show it to new readers."""
        _write_state(self._duck, meta)
        with self._mirror.changing:
            self._duck.execute("COMMIT")
            self._mirror.meta = meta
        self._mirror.rewritten += self._written

    def rollback(self) -> None:
        """Discard what was written."""
        self._duck.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection, not the mirror."""
        self._duck.close()

    def _delete(self, table: Table, ids: pa.Int64Array, operator: str, also: str = "") -> None:
        self._duck.register("mirror_ids", pa.table({"id": ids}))
        try:
            chosen = f"{quote(ROW)} {operator} (SELECT id FROM mirror_ids){also}"  # noqa: S608 - a quoted name
            self._duck.execute(f"DELETE FROM {quote(table)} WHERE {chosen}")  # noqa: S608 - quoted names
        finally:
            self._duck.unregister("mirror_ids")


def _create(duck: duckdb.DuckDBPyConnection, table: Table, layout: TableLayout) -> None:
    columns = [f"{quote(ROW)} BIGINT", f"{quote(LARGE)} BOOLEAN"]
    if table is Table.UNITS:
        create_groups(duck, layout)
        columns.append(f"{quote(GROUP)} INTEGER")
    columns += [f"{quote(name)} {'BIGINT' if name in INTEGERS else 'VARCHAR'}" for name in layout.plain]
    columns += [f"{quote(list_column(column))} VARCHAR[]" for column in lists_of(table, layout)]
    if table in METRIC_TABLES:
        columns += [f"{quote(MOMENT)} BIGINT", f"{quote(DAY)} BIGINT"]
    duck.execute(f"CREATE TABLE {quote(table)} ({', '.join(columns)})")


def _insert(duck: duckdb.DuckDBPyConnection, table: Table, layout: TableLayout, rows: Iterable[pa.Table]) -> None:
    described = duck.execute(f"SELECT * FROM {quote(table)} LIMIT 0").description  # noqa: S608 - a quoted name
    there = {item[0] for item in described or ()}
    for typed in _parts(rows):
        part = number_groups(duck, layout, typed) if table is Table.UNITS else typed
        for name in part.column_names:
            if name not in there:  # the key of a metric
                duck.execute(f"ALTER TABLE {quote(table)} ADD COLUMN {quote(name)} DOUBLE")
                there.add(name)
        names = ", ".join(map(quote, part.column_names))
        duck.register("mirror_rows", part)
        try:
            duck.execute(f"INSERT INTO {quote(table)} ({names}) SELECT {names} FROM mirror_rows")  # noqa: S608
        finally:
            duck.unregister("mirror_rows")


def _parts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for table in tables:
        if table.num_rows:
            waiting.append(table)
        if sum(part.num_rows for part in waiting) >= _ROW_GROUP:
            yield pa.concat_tables(waiting, promote_options="default")
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting, promote_options="default")


def _write_state(duck: duckdb.DuckDBPyConnection, meta: Meta) -> None:
    """Write the mirror's state. This comes last: a mirror without a state is unfinished."""
    duck.execute("CREATE TABLE IF NOT EXISTS state (id VARCHAR, json VARCHAR)")
    duck.execute("DELETE FROM state")
    duck.execute("INSERT INTO state VALUES (?, ?)", [meta.id, msgspec.json.encode(meta).decode()])
