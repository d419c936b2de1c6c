"""Write the rows of one site to PostgreSQL, as a target of `follow.fill` and `follow.changes`.

Changes are collected first. `commit` writes them in one short transaction together with the new state, so a process
that is killed leaves the old rows with the old state. Changes that are too many to collect are written in several
transactions, and the state records that. If the process is killed then, the site is filled again. Filling writes only
rows that are missing or differ, because each row has a digest. Shards commit on their own, just before the coordinator
does. So a mark is set before shards are written. If it is still set at the next start, the site is also filled again.

Kept history: rows that the file no longer has stay, with a row id below 0.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.columnar.layout import (
    COLUMN_LAYOUT_VERSION,
    LARGE,
    MOMENT,
    ROW,
    CannotMirrorError,
    Meta,
    TableLayout,
    quote,
    text,
)
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.connection import PostgresConnection
from ceems_grpc.store.postgres.feed.apply import ALL_CLUSTERS, Work, Writer, array_of
from ceems_grpc.store.postgres.feed.batches import ROWS_AT_ONCE, are_ascending, regroup, reused_ids
from ceems_grpc.store.postgres.feed.catalog import Catalogs, transaction
from ceems_grpc.store.postgres.feed.rollups import (
    hour_of,
    refresh_statements,
)
from ceems_grpc.store.postgres.feed.rows import RowMaker
from ceems_grpc.store.postgres.feed.state import FeedSite
from ceems_grpc.store.postgres.feed.stored_state import StoredState
from ceems_grpc.store.postgres.schema import (
    DIGEST,
    LARGE_TABLES,
    PART,
    SITE,
    Placement,
    json_objects,
)

_log = logging.getLogger(__name__)
_MOST_GATHERED = 200_000  # rows; when more are collected, they are written at once
_BLOCK = 65_536  # row ids that are counted together
# The columns by which a row of kept history is recognised in the file, the most selective one first.
_IDENTITY = {
    Table.UNITS: ("uuid", "cluster_id", "started_at"),
    Table.USAGE: ("username", "cluster_id", "project"),
    Table.DAILY_USAGE: ("username", "cluster_id", "project", "last_updated_at"),
}


class PostgresTarget:
    """See `Target`. The tables must exist, and the caller must hold the lock of the site; see `lock_site`.

    ``progress`` is called with the number of rows read so far, while the site is filled.
    """

    def __init__(
        self, connection: PostgresConnection, schema: str, site: FeedSite, progress: Callable[[int], None] | None = None
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._space = quote(schema)
        self._site = site
        self._where = f"{SITE} = {text(site.name)}"
        self._progress = progress
        self._maker = RowMaker(site.name)
        self._work: dict[Table, Work] = {}
        self._hours: set[int] = set()
        self._counts: dict[str, int] = {}
        self._claims: set[str] = set()
        self._seen = 0
        self.written = 0
        self._kind: Placement = self._one(f"SELECT kind FROM {self._space}.layout")  # noqa: S608 - quoted names
        self._catalogs = Catalogs(connection, schema, site.weights)
        self._writer = Writer(connection, schema, site.name, self._kind)
        self._stored = StoredState(connection, schema, site)
        self._clusters = self._stored.clusters()
        self._state = self._stored.read()
        self._next = self._state

    @property
    def meta(self) -> Meta | None:
        """The state of the site in PostgreSQL; None until the site is filled."""
        meta = self._state.meta
        return meta if meta is not None and meta.layout_version == COLUMN_LAYOUT_VERSION else None

    @property
    def needs_rebuild(self) -> bool:
        """Always False, because PostgreSQL cleans up by itself."""
        return False

    def close(self) -> None:
        """Release memory. The connection stays open."""
        self._maker.close()

    def begin(self) -> None:
        """Start to collect changes."""
        self._work = {}
        self._hours = set()
        self._claims = set()
        self._counts = dict(self._state.counts)
        self._seen = 0
        self._next = msgspec.structs.replace(self._state, resources=set(self._state.resources))

    def rollback(self) -> None:
        """Discard the collected changes."""
        self.begin()

    def count(self, table: Table) -> int:
        """Return the number of rows of the file, including the collected changes."""
        return self._counts.get(table, 0)

    @property
    def newest(self) -> int | None:
        """The newest update of units, in seconds since 1970."""
        return self._state.newest

    def large(self, table: Table, most: int) -> list[int]:
        """Return the ids of at most ``most`` rows that may not fit on one page of the file."""
        chosen = f"{self._where} AND {quote(LARGE)} AND {quote(ROW)} >= 0"
        return self._ids(f"SELECT {quote(ROW)} FROM {self._name(table)} WHERE {chosen} LIMIT {most:d}")  # noqa: S608

    def replace(self, table: Table, layout: TableLayout, ids: pa.Int64Array, rows: pa.Table) -> None:
        """Collect the rows that differ from the stored ones, and the ids that the file no longer has."""
        for start in range(0, len(ids), ROWS_AT_ONCE):
            chosen = ids.slice(start, ROWS_AT_ONCE)
            old = self._old(table, f"{quote(ROW)} = ANY({array_of(chosen.to_pylist())})")
            new = rows.filter(pc.is_in(rows.column(ROW), chosen)) if rows.num_rows else rows
            self._compare(table, layout, old, new)

    def keep(self, table: Table, ids: pa.Int64Array, last: int | None) -> None:
        """Collect the ids that the file no longer has. Only blocks whose number of rows differs are read."""
        blocks = pc.value_counts(pc.divide(ids, _BLOCK)) if len(ids) else None
        wanted = {} if blocks is None else dict(zip(*(part.to_pylist() for part in blocks.flatten()), strict=True))
        block = f"{quote(ROW)} / {_BLOCK}"
        part = f"{PART}, " if table in LARGE_TABLES else ""
        among = "" if last is None else f" AND {quote(ROW)} <= {last:d}"
        counted = (
            f"SELECT {part}{block} AS block, count(*) AS rows FROM {self._name(table)}"  # noqa: S608 - quoted names
            f" WHERE {self._where} AND {quote(ROW)} >= 0{among} GROUP BY {part}{block}"
        )
        found = self._connection.fetch(f"SELECT block, sum(rows)::bigint FROM ({counted}) AS counted GROUP BY block")  # noqa: S608
        gathered = set(self._gathered(table))
        unsettled = {row // _BLOCK for row in gathered}
        for number, rows in zip(*(column.to_pylist() for column in found.columns), strict=True):
            if number not in unsettled and wanted.get(number) == rows:
                continue
            first, end = number * _BLOCK, (number + 1) * _BLOCK
            there = self._old(table, f"{quote(ROW)} >= {first} AND {quote(ROW)} < {end}{among}")
            gone = pc.invert(pc.is_in(there.column(ROW), ids)) if len(ids) else pa.array([True] * there.num_rows)
            left = there.filter(gone)
            self._leave(table, left.filter(pc.invert(pc.is_in(left.column(ROW), pa.array(gathered, pa.int64())))))

    def rewrite(self, table: Table, layout: TableLayout, rows: Iterable[pa.Table]) -> None:
        """Collect what differs from the stored rows, one range of ids after the other. Rows must be ordered by id."""
        last = -1
        count = 0
        for batch in regroup(rows):
            ids = batch.column(ROW)
            if pc.min(ids).as_py() <= last or not are_ascending(ids):
                raise CannotMirrorError(
                    f"the rows of {table} do not come in the order of their ids, or have ids below 0"
                )
            upper = pc.max(ids).as_py()
            old = self._old(table, f"{quote(ROW)} > {last} AND {quote(ROW)} <= {upper}")
            self._compare(table, layout, old, batch)
            last = upper
            count += batch.num_rows
            self._seen += batch.num_rows
            if self._progress is not None:
                self._progress(self._seen)
            if sum(work.size for work in self._work.values()) > self._most_gathered():
                self._write_part()
        if not count:
            self._catalogs.fit(table, layout, ())
        while True:
            rest = self._old(table, f"{quote(ROW)} > {last}", ROWS_AT_ONCE)
            self._leave(table, rest)
            if rest.num_rows < ROWS_AT_ONCE:
                break
            last = pc.max(rest.column(ROW)).as_py()
        self._counts[table] = count

    def commit(self, meta: Meta) -> None:
        """Write the collected changes and the state in one transaction. After a first fill, write all rollups too."""
        for table in [Table(name) for name in self._counts if name not in meta.layout.tables]:
            self.rewrite(table, TableLayout(()), [])
            del self._counts[table]
        if not self._state.rollups:
            self._write_part()
            self._writer.rebuild_rollups(self._catalogs.of(Table.UNITS))
            kept = f"{self._where} AND {quote(ROW)} < 0"
            self._next.kept = self._one(f"SELECT count(*) FROM {self._name(Table.UNITS)} WHERE {kept}")  # noqa: S608
        if self._kind == "foreign" and any(self._work.get(table) for table in LARGE_TABLES):
            self._connection.run(f"UPDATE {self._space}.feed_state SET begun = true WHERE {self._where}")  # noqa: S608
        with transaction(self._connection):
            self._write()
            if self._state.rollups and self._hours:
                catalog = self._catalogs.of(Table.UNITS)
                for statement in refresh_statements(self._schema, self._site.name, catalog, self._hours):
                    self._connection.run(statement)
            self._write_state(meta, rollups=True)
        self._settle()
        self.begin()

    # What differs

    def _compare(self, table: Table, layout: TableLayout, old: pa.Table, rows: pa.Table) -> None:
        """Collect the changes from ``old``, rows in the form of `_old`, to ``rows``."""
        made = self._made(table, layout, rows) if rows.num_rows else None
        digests = dict(zip(old.column(ROW).to_pylist(), old.column(DIGEST).to_pylist(), strict=True))
        self._counts[table] = self._counts.get(table, 0) - old.num_rows + rows.num_rows
        ids: list[int] = [] if made is None else made.column(ROW).to_pylist()
        if len(set(ids)) != len(ids):
            raise CannotMirrorError(f"rows of {table} have the same id")
        if made is None:
            self._leave(table, old, counted=True)
            return
        changed = [
            row not in digests or digests[row] != digest
            for row, digest in zip(ids, made.column(DIGEST).to_pylist(), strict=True)
        ]
        differing = made.filter(pa.array(changed, pa.bool_()))
        work = self._work.setdefault(table, Work())
        others: set[int] = set()
        if self._keeps(table):
            others = reused_ids(_IDENTITY[table], old, differing)
        present = set(ids)
        self._leave(table, old.filter(pa.array([row not in present for row in digests], pa.bool_())), counted=True)
        if others:
            self._leave(table, old.filter(pa.array([row in others for row in digests], pa.bool_())), counted=True)
        if not differing.num_rows:
            return
        replaced = {row for row in differing.column(ROW).to_pylist() if row in digests} - others
        work.gone += sorted(replaced)
        work.rows.append(differing)
        if table is Table.UNITS:
            self._touch(old.filter(pa.array([row in replaced for row in digests], pa.bool_())))
            self._touch(differing)
        if self._keeps(table) and self._next.detachings:
            self._supersede(table, differing)

    def _leave(self, table: Table, old: pa.Table, *, counted: bool = False) -> None:
        """Collect rows that the file no longer has."""
        if not old.num_rows:
            return
        if not counted:
            self._counts[table] = self._counts.get(table, 0) - old.num_rows
        work = self._work.setdefault(table, Work())
        if self._keeps(table):
            work.detached += old.column(ROW).to_pylist()
            return
        work.gone += old.column(ROW).to_pylist()
        if table is Table.UNITS:
            self._touch(old)

    def _supersede(self, table: Table, rows: pa.Table) -> None:
        """Collect rows of kept history that are in the file again, because a backup was restored."""
        first, *_ = identity = _IDENTITY[table]
        if any(name not in rows.column_names for name in identity):
            return
        wanted = set(zip(*(rows.column(name).to_pylist() for name in identity), strict=True))
        listed = ", ".join(sorted({text(values[0]) for values in wanted if values[0] is not None})) or "NULL"
        columns = ", ".join(map(quote, (ROW, DIGEST, *((MOMENT,) if table is Table.UNITS else ()), *identity)))
        kept = self._connection.fetch(
            f"SELECT {columns} FROM {self._name(table)}"  # noqa: S608 - quoted names and texts
            f" WHERE {self._where} AND {quote(ROW)} < 0 AND {quote(first)} = ANY(ARRAY[{listed}]::text[])"
        )
        again = zip(*(kept.column(name).to_pylist() for name in identity), strict=True)
        doubles = kept.filter(pa.array([values in wanted for values in again], pa.bool_()))
        self._work[table].gone += doubles.column(ROW).to_pylist()
        if table is Table.UNITS:
            self._touch(doubles)

    def _touch(self, rows: pa.Table) -> None:
        if MOMENT in rows.column_names:
            self._hours |= {
                hour_of(moment) for moment in pc.unique(rows.column(MOMENT)).to_pylist() if moment is not None
            }

    def _keeps(self, table: Table) -> bool:
        return self._site.keep_history and table in _IDENTITY

    def _gathered(self, table: Table) -> Iterator[int]:
        work = self._work.get(table, Work())
        yield from work.gone
        yield from work.detached
        for rows in work.rows:
            yield from rows.column(ROW).to_pylist()

    def _old(self, table: Table, where: str, limit: int | None = None) -> pa.Table:
        columns = [ROW, DIGEST]
        if table is Table.UNITS:
            columns.append(MOMENT)
        if self._keeps(table):
            columns += _IDENTITY[table]
        found = ", ".join(map(quote, columns))
        more = "" if limit is None else f" ORDER BY {quote(ROW)} LIMIT {limit:d}"
        return self._connection.fetch(
            f"SELECT {found} FROM {self._name(table)} WHERE {self._where} AND {quote(ROW)} >= 0 AND {where}{more}"  # noqa: S608
        )

    # Rows as PostgreSQL keeps them

    def _made(self, table: Table, layout: TableLayout, rows: pa.Table) -> pa.Table:
        places = self._catalogs.fit(table, layout, rows.column_names)
        if "cluster_id" in rows.column_names:
            self._note_clusters(table, rows)
        if table is Table.UNITS and MOMENT in rows.column_names:
            newest = pc.max(rows.column(MOMENT)).as_py()
            if newest is not None:
                self._next.newest = max(newest, self._next.newest or newest)
        return self._maker.make(table, rows, places, json_objects(table, layout.objects.copy()))

    def _note_clusters(self, table: Table, rows: pa.Table) -> None:
        clusters = set(pc.unique(rows.column("cluster_id")).to_pylist()) - {None, ""}
        if table is Table.ADMIN_USERS:
            clusters.discard(ALL_CLUSTERS)
        self._claims |= clusters - self._clusters
        if table is Table.UNITS and "resource_manager" in rows.column_names:
            names = ("cluster_id", "resource_manager")
            found = rows.select(names).group_by(names).aggregate([])
            both = zip(*(found.column(name).to_pylist() for name in names), strict=True)
            self._next.resources |= {(cluster or "", manager or "") for cluster, manager in both}

    # Writing

    def _most_gathered(self) -> int:
        return _MOST_GATHERED if self._state.rollups else ROWS_AT_ONCE - 1

    def _write_part(self) -> None:
        """Write the collected changes, and record that the site differs from the file and must be filled again."""
        with transaction(self._connection):
            self._write()
            self._write_state(None, rollups=False)
        self._settle()

    def _write(self) -> None:
        """Write the collected changes, within a transaction."""
        if any(work.detached for work in self._work.values()):
            self._next.detachings += 1
        self.written += self._writer.write(self._work, self._claims, self._next.detachings)

    # State

    def _settle(self) -> None:
        """Make the committed state the current one."""
        self._state = msgspec.structs.replace(self._next, resources=set(self._next.resources))
        self._clusters |= self._claims
        self._work = {}
        self._hours = set()
        self._claims = set()

    def _write_state(self, meta: Meta | None, *, rollups: bool) -> None:
        state = self._next
        state.meta, state.rollups, state.counts = meta, rollups, dict(self._counts)
        work = self._work.get(Table.UNITS)
        if work is not None and self._keeps(Table.UNITS):
            state.kept += len(work.detached) - sum(row < 0 for row in work.gone)
        self._stored.write(state, self._counts.get(Table.UNITS, 0) + state.kept)

    def _name(self, table: Table) -> str:
        return f"{self._space}.{quote(table)}"

    def _one(self, statement: str) -> Any:  # noqa: ANN401 - whatever the statement asks for
        found = self._connection.fetch(statement)
        return found.column(0)[0].as_py() if found.num_rows else None

    def _ids(self, statement: str) -> list[int]:
        found: list[int] = self._connection.fetch(statement).column(0).to_pylist()
        return found
