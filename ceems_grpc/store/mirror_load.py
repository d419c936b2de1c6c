"""Rows of the database, as Arrow, into the tables of the mirror."""

import json
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, tzinfo
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.mirror_layout import (
    DATED,
    DAY,
    INTEGERS,
    LARGE,
    LISTS,
    MOMENT,
    ROW,
    CannotMirrorError,
    TableLayout,
    is_metric,
    list_column,
    quote,
    text,
)
from ceems_grpc.store.mirror_values import tell
from ceems_grpc.store.plan import Table

_ROW_GROUP = 122_880  # rows that DuckDB keeps together
_MOST_KEYS = 2_000
_DAY = 86_400
_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?"
_KEY = r'"[^"\\\x00-\x1f]+"'
_REGULAR = rf"\{{({_KEY}: ?{_NUMBER}(, ?{_KEY}: ?{_NUMBER})*)\}}"
_Item = TypeVar("_Item")
_EMPTY = "('{}', '', 'null')"


class Loader:
    """Fills one table of the mirror, and grows it by the keys that appear."""

    def __init__(
        self, duck: duckdb.DuckDBPyConnection, table: Table, layout: TableLayout, zone: tzinfo, page_size: int
    ) -> None:
        self._duck = duck
        self._table = table
        self._layout = layout
        self._moments = _Moments(zone)
        self._keys = {place for keys in layout.keys.values() for place in keys.values()}
        self._made = set(self._keys)  # those that the table of the mirror has already
        # The most bytes of a row that stay on one leaf page, see section 1.6 of https://www.sqlite.org/fileformat2.html
        self._page = page_size - 35 - 255

    def create(self) -> None:
        """Make the empty table."""
        columns = [f"{quote(ROW)} BIGINT", f"{quote(LARGE)} BOOLEAN"]
        columns += [f"{quote(name)} {'BIGINT' if name in INTEGERS else 'VARCHAR'}" for name in self._layout.plain]
        columns += [f"{quote(list_column(column))} VARCHAR[]" for column in self._lists()]
        if self._table in DATED:
            columns += [f"{quote(MOMENT)} BIGINT", f"{quote(DAY)} BIGINT"]
        self._duck.execute(f"CREATE TABLE {quote(self._table)} ({', '.join(columns)})")

    def source(self) -> str:
        """Return the statement for SQLite that reads the rows as `add` wants them, without a condition."""
        columns = [f"rowid AS {quote(ROW)}"]
        for column in self._layout.columns:
            name = quote(column)
            columns.append(name if column in INTEGERS else f"CAST({name} AS TEXT) AS {name}")
        for column in self._lists():
            name = quote(column)
            array = f"CASE WHEN json_valid({name}) AND substr({name}, 1, 1) = '[' THEN {name} ELSE '[]' END"
            columns.append(
                f"(SELECT json_group_array(j.value) FROM json_each({array}) AS j WHERE typeof(j.value) = 'text')"  # noqa: S608 - quoted names
                f" AS {quote(list_column(column))}"
            )
        return f"SELECT {', '.join(columns)} FROM {quote(self._table)}"  # noqa: S608 - quoted names

    def add_all(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Add rows, in parts of the size in which DuckDB writes."""
        for part in self._parts(map(self._typed, map(_as_table, batches))):
            self._insert(self._duck, part)

    def add_all_at_once(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Do the same with reading, taking apart and writing each in a thread of its own; errors of each are raised."""
        writer = self._duck.cursor()
        try:
            with ahead(batches) as read, ahead(self._parts(map(self._typed, map(_as_table, read)))) as parts:
                for part in parts:
                    self._insert(writer, part)
        finally:
            writer.close()

    def _parts(self, tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
        waiting: list[pa.Table] = []
        for table in tables:
            if table.num_rows:
                waiting.append(table)
            if sum(part.num_rows for part in waiting) >= _ROW_GROUP:
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def add(self, rows: pa.Table) -> None:
        """Add rows."""
        if rows.num_rows:
            self._insert(self._duck, [self._typed(rows)])

    def _lists(self) -> tuple[str, ...]:
        return tuple(column for column in LISTS.get(self._table, ()) if column in self._layout.columns)

    def _insert(self, duck: duckdb.DuckDBPyConnection, parts: list[pa.Table]) -> None:
        rows = pa.concat_tables(parts, promote_options="default")
        for place in rows.column_names:
            if place in self._keys and place not in self._made:
                duck.execute(f"ALTER TABLE {quote(self._table)} ADD COLUMN {quote(place)} DOUBLE")
                self._made.add(place)
        names = ", ".join(map(quote, rows.column_names))
        values = ", ".join(
            f"from_json({quote(name)}, '[\"VARCHAR\"]')" if name.startswith("#list:") else quote(name)
            for name in rows.column_names
        )
        duck.register("mirror_rows", rows)
        try:
            duck.execute(f"INSERT INTO {quote(self._table)} ({names}) SELECT {values} FROM mirror_rows")  # noqa: S608
        finally:
            duck.unregister("mirror_rows")

    # One batch

    def _typed(self, rows: pa.Table) -> pa.Table:
        for field in rows.schema:
            wanted = pa.int64() if field.name in INTEGERS or field.name == ROW else pa.string()
            if field.type != wanted and rows.column(field.name).null_count < rows.num_rows:
                raise CannotMirrorError(f"column {field.name} of table {self._table} holds values of several kinds")
        typed = {
            name: rows.column(name).cast(pa.int64() if name in INTEGERS or name == ROW else pa.string())
            for name in rows.column_names
            if not is_metric(name)
        }
        typed[LARGE] = self._large(rows)
        if self._table in DATED and "last_updated_at" in rows.column_names:
            ended = rows.column("ended_at_ts") if "ended_at_ts" in rows.column_names else None
            typed[MOMENT], typed[DAY], exact = self._moments.of(rows.column("last_updated_at"), ended)
            if not exact:
                self._layout.inexact.add("last_updated_at")
        metrics = self._metrics(rows.select([name for name in self._layout.metrics if name in rows.column_names]))
        return pa.table(typed | metrics)

    def _large(self, rows: pa.Table) -> pa.ChunkedArray:
        size: Any = pc.multiply(pc.fill_null(rows.column(ROW), 0), 0)
        for column in rows.columns:
            if pa.types.is_string(column.type):
                size = pc.add(size, pc.fill_null(pc.binary_length(column), 0))
        return pc.greater(size, self._page - 10 * rows.num_columns)

    def _metrics(self, rows: pa.Table) -> dict[str, pa.ChunkedArray]:
        values = self._take_apart(rows, check=True)
        if self._unusual(rows, values) and self._find_keys(rows, values):
            values = self._take_apart(rows, check=True)
        unusual = self._unusual(rows, values)
        for name in unusual:
            rows = self._tell(rows, name, values.column(f"bad:{name}"))
        if unusual:
            values = self._take_apart(rows, check=False)
        return {name: values.column(name) for name in values.column_names if not name.startswith("bad:")}

    def _unusual(self, rows: pa.Table, values: pa.Table) -> list[str]:
        return [name for name in rows.column_names if pc.any(values.column(f"bad:{name}")).as_py()]

    def _find_keys(self, rows: pa.Table, values: pa.Table) -> bool:
        """Add the keys of plain objects of numbers; tell whether there were new ones."""
        before = self._layout.count_keys()
        for name in self._unusual(rows, values):
            texts = pa.table({"text": pc.unique(rows.column(name).filter(values.column(f"bad:{name}")))})
            self._duck.register("mirror_texts", texts)
            try:
                found = self._duck.execute(
                    "SELECT DISTINCT unnest(json_keys(text)) FROM mirror_texts WHERE regexp_full_match(text, ?)",
                    [_REGULAR],
                ).fetchall()
            finally:
                self._duck.unregister("mirror_texts")
            self._add_keys(name, {key for (key,) in found})
        return self._layout.count_keys() > before

    def _add_keys(self, column: str, keys: Iterable[str]) -> None:
        for key in sorted(keys):
            known = self._layout.keys.get(column, {})
            if key in known:
                continue
            if not key or key.lower() in {other.lower() for other in known}:
                self._layout.inexact.add(column)  # DuckDB's structs name no field so, nor tell them apart by case
                continue
            if self._layout.count_keys() >= _MOST_KEYS:
                raise CannotMirrorError(f"table {self._table} has more than {_MOST_KEYS} different keys of metrics")
            self._keys.add(self._layout.add_key(column, key))

    def _tell(self, rows: pa.Table, name: str, bad: pa.ChunkedArray) -> pa.Table:
        column = rows.column(name)
        told = tell(pc.unique(column.filter(bad)).to_pylist())
        if not told.exact:
            self._layout.inexact.add(name)
        self._add_keys(name, told.keys)
        known = self._layout.keys.get(name, {})
        self._layout.coded |= {known[key] for key in told.coded if key in known}
        places = pc.index_in(column, pa.array(list(told.texts), pa.string()))
        nowhere = pa.scalar(None, pa.int32())
        texts = pc.take(pa.array(list(told.texts.values()), pa.string()), pc.if_else(bad, places, nowhere))
        return rows.set_column(rows.column_names.index(name), name, pc.coalesce(texts, column))

    def _take_apart(self, rows: pa.Table, *, check: bool) -> pa.Table:
        structs, shown = [], []
        for index, name in enumerate(rows.column_names):
            column = quote(name)
            keys = self._layout.keys.get(name, {})
            present = "0"
            if keys:
                shape = text(json.dumps(dict.fromkeys(keys, "DOUBLE")))
                regular = f"regexp_full_match({column}, {text(_REGULAR)})" if check else f"{column} NOT IN {_EMPTY}"
                structs.append(f"CASE WHEN {regular} THEN json_transform({column}, {shape}) END AS s{index}")
                values = {place: f"s{index}.{quote(key)}" for key, place in keys.items()}
                shown += [f"{value} AS {quote(place)}" for place, value in values.items()]
                present = " + ".join(f"coalesce(isfinite({value}), FALSE)::INTEGER" for value in values.values())
            if check:
                quotes = f"(length({column}) - length(replace({column}, '\"', '')))"
                bad = f"{column} NOT IN {_EMPTY} AND ({present} = 0 OR {quotes} <> 2 * ({present}))"
                shown.append(f"coalesce({bad}, FALSE) AS {quote('bad:' + name)}")
        if not shown:
            return pa.table({})
        inner = f"(SELECT *{''.join(', ' + struct for struct in structs)} FROM mirror_texts)"  # noqa: S608
        self._duck.register("mirror_texts", rows)
        try:
            return self._duck.sql(f"SELECT {', '.join(shown)} FROM {inner}").to_arrow_table()  # noqa: S608
        finally:
            self._duck.unregister("mirror_texts")


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.table(batch)


@contextmanager
def ahead(source: Iterable[_Item]) -> Iterator[Iterator[_Item]]:
    """Run a source in a thread of its own, an item ahead of who takes them. The thread ends before this does."""
    done = object()
    items: queue.Queue[Any] = queue.Queue(1)
    stopped = threading.Event()

    def put(item: object) -> bool:
        while not stopped.is_set():
            with suppress(queue.Full):
                items.put(item, timeout=0.1)
                return True
        return False

    def run() -> None:
        try:
            for item in source:
                if not put(item):
                    return
        except BaseException as error:  # raised where the items are taken
            put(error)
        put(done)

    def take() -> Iterator[_Item]:
        while (item := items.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stopped.set()
        thread.join()


class _Moments:
    """Local texts as moments; the rule is that of `localtime.moment_of`."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known: dict[str, tuple[int | None, int | None, bool]] = {}

    def of(
        self, texts: pa.ChunkedArray, ended_ms: pa.ChunkedArray | None
    ) -> tuple[pa.ChunkedArray, pa.ChunkedArray, bool]:
        """Return the moments, the starts of their UTC days, and whether the texts sort as the moments do."""
        encoded = texts.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        found = [self._moment(text) for text in encoded.dictionary.to_pylist()]
        first = pc.take(pa.array([item[0] for item in found], pa.int64()), encoded.indices)
        second = pc.take(pa.array([item[1] for item in found], pa.int64()), encoded.indices)
        moments = first
        if ended_ms is not None:
            later = pc.greater(pc.divide(ended_ms.combine_chunks(), 1000), first)
            moments = pc.if_else(pc.fill_null(later, False), second, first)
        days = pc.multiply(pc.divide(first, _DAY), _DAY)
        return moments, days, all(item[2] for item in found)

    def _moment(self, text: str) -> tuple[int | None, int | None, bool]:
        known = self._known.get(text)
        if known is None:
            if len(self._known) > 200_000:
                self._known.clear()
            known = self._known[text] = self._work_out(text)
        return known

    def _work_out(self, text: str) -> tuple[int | None, int | None, bool]:
        if not text:
            return None, None, True
        try:
            naive = datetime.fromisoformat(text)
        except ValueError:
            return None, None, False
        if naive.tzinfo is not None or naive.isoformat() != text or len(text) != 19:
            return None, None, False
        first, second = (int(naive.replace(tzinfo=self._zone, fold=fold).timestamp()) for fold in (0, 1))
        # An hour that clocks skip has no order among moments; nor has anything before them.
        return first, second, first <= second and first >= 0
