"""Convert rows of the database to the columns that `layout` describes: metrics to numbers, local times to moments.

Every store with such columns (the mirror, PostgreSQL) gets them from here, so that all stores agree.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.schema import INTEGERS, LISTS, METRIC_TABLES, Type, is_metric
from ceems_grpc.store.columnar.flatten import decode_object
from ceems_grpc.store.columnar.json_rows import fits_metric, note_texts
from ceems_grpc.store.columnar.json_texts import EMPTY_OBJECTS, HALF_OF_A_PAIR
from ceems_grpc.store.columnar.layout import (
    DAY,
    LARGE,
    MOMENT,
    ROW,
    CannotMirrorError,
    TableLayout,
    list_column,
    quote,
    text,
)
from ceems_grpc.store.columnar.metric_codes import EncodedTexts, encode, split_plain
from ceems_grpc.store.columnar.moments import Moments
from ceems_grpc.store.columnar.values import usable
from ceems_grpc.store.plan import Table

_FEW = 4_096
_MOST_KEYS = 2_000
_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?"
_KEY = r'"[^"\\\x00-\x1f]*"'
_REGULAR = rf"\{{({_KEY}: ?{_NUMBER}(, ?{_KEY}: ?{_NUMBER})*)\}}"
_EMPTY = pa.array(EMPTY_OBJECTS)
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "256MB",
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_numbers = msgspec.json.Decoder(dict[str, float | str])  # codes are texts
_anything = msgspec.json.Decoder(list[Any])
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class TypedRows:
    """Converts the rows of one table, and adds new keys to its layout.

    ``duck``: the DuckDB connection that parses JSON; by default a new one, in memory. ``page_size``: bytes of a page of
    the database.
    """

    def __init__(
        self,
        table: Table,
        layout: TableLayout,
        zone: tzinfo,
        page_size: int,
        duck: duckdb.DuckDBPyConnection | None = None,
    ) -> None:
        self._duck = duckdb.connect(config=_CONFIG) if duck is None else duck
        self._table = table
        self._layout = layout
        self._moments = Moments(zone)
        # The most bytes of a row that fit on one leaf page; see section 1.6 of https://www.sqlite.org/fileformat2.html
        self._page = page_size - 35 - 255

    def source(self) -> str:
        """Return the SQLite statement, without a condition, that reads rows in the form that `typed` takes."""
        columns = [f"rowid AS {quote(ROW)}"]
        for column in self._layout.columns:
            name = quote(column)
            columns.append(f"{usable(column, name)} AS {name}")
        return f"SELECT {', '.join(columns)} FROM {quote(self._table)}"  # noqa: S608 - quoted names

    def typed(self, rows: pa.Table) -> pa.Table:
        """Return the rows with the columns of the layout, and add keys to the layout that it lacks.

        The columns are ``#row`` int64, ``#large`` bool, ``#moment`` and ``#day`` int64 (seconds), ``#list:...`` lists
        of texts, plain columns int64 or text, and one float64 for each key of a metric that is known so far. Raises
        `CannotMirrorError`.
        """
        for field in rows.schema:
            wanted = pa.int64() if field.name in INTEGERS or field.name == ROW else pa.string()
            if field.type != wanted and rows.column(field.name).null_count < rows.num_rows:
                raise CannotMirrorError(f"column {field.name} of table {self._table} holds values of several kinds")
        typed = {
            name: rows.column(name).cast(pa.int64() if name in INTEGERS or name == ROW else pa.string())
            for name in rows.column_names
            if not is_metric(name)
        }
        if self._table is Table.UNITS:
            note_texts(self._layout, rows)
        self._note_objects(rows)
        typed[LARGE] = self._large(rows)
        if self._table in METRIC_TABLES and "last_updated_at" in rows.column_names:
            ended = rows.column("ended_at_ts") if "ended_at_ts" in rows.column_names else None
            typed[MOMENT], typed[DAY], exact = self._moments.of(rows.column("last_updated_at"), ended)
            if not exact:
                self._layout.inexact.add("last_updated_at")
        for column in lists_of(self._table, self._layout):
            typed[list_column(column)] = _lists(typed[column])
        metrics = self._metrics(rows.select([name for name in self._layout.metrics if name in rows.column_names]))
        return pa.table(typed | metrics)

    def all(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Convert all rows, batch by batch."""
        return map(self.typed, map(pa.table, batches))

    def _note_objects(self, rows: pa.Table) -> None:
        """Note in the layout which new columns hold JSON objects, and which metrics among them hold other texts."""
        for name, type_ in self._layout.new_columns(self._table).items():
            if type_ is Type.OBJECT and not is_metric(name):
                continue
            different = pc.unique(rows.column(name)).drop_null().to_pylist()
            objects = {text for text in different if text == "{}" or decode_object(text, numeric=False)}
            if objects:
                self._layout.objects.add(name)
            if is_metric(name) and not objects.issuperset(text for text in different if text not in EMPTY_OBJECTS):
                self._layout.inexact.add(name)  # such a text has no number for any key

    def _large(self, rows: pa.Table) -> pa.ChunkedArray:
        size: Any = pc.multiply(pc.fill_null(rows.column(ROW), 0), 0)
        for column in rows.columns:
            if pa.types.is_string(column.type):
                size = pc.add(size, pc.fill_null(pc.binary_length(column), 0))
        return pc.greater(size, self._page - 10 * rows.num_columns)

    def _metrics(self, rows: pa.Table) -> dict[str, pa.ChunkedArray]:
        if rows.num_rows <= _FEW:
            return self._metrics_of_few(rows)
        values = self._split(rows, check=True)
        if self._unusual(rows, values) and self._find_keys(rows, values):
            values = self._split(rows, check=True)
        unusual = self._unusual(rows, values)
        for name in unusual:
            rows = self._encode_column(rows, name, values.column(f"bad:{name}"))
        if unusual:
            values = self._split(rows, check=False)
        return {name: values.column(name) for name in values.column_names if not name.startswith("bad:")}

    def _metrics_of_few(self, rows: pa.Table) -> dict[str, pa.ChunkedArray]:
        """Do the same in Python. For a few rows this takes less time than DuckDB needs to plan its statements."""
        arrays: dict[str, pa.ChunkedArray] = {}
        for name in rows.column_names:
            self._only_regular(name, rows.column(name))  # notes irregular texts
            texts = rows.column(name).to_pylist()
            values, unusual = split_plain(texts)
            if unusual:
                encoded = self._encode(name, unusual)
                for index, text in enumerate(texts):
                    if text in encoded.texts:
                        for key, value in _numbers.decode(encoded.texts[text]).items():
                            values.setdefault(key, [None] * len(texts))[index] = float(value)
            self._add_keys(name, values)
            nothing = [None] * len(texts)
            for key, place in self._layout.keys.get(name, {}).items():
                arrays[place] = pa.chunked_array([pa.array(values.get(key, nothing), pa.float64())])
        return arrays

    def _unusual(self, rows: pa.Table, values: pa.Table) -> list[str]:
        return [name for name in rows.column_names if pc.any(values.column(f"bad:{name}")).as_py()]

    def _find_keys(self, rows: pa.Table, values: pa.Table) -> bool:
        """Add the keys of plain objects of numbers. Return whether any key is new."""
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
            if self._layout.count_keys() >= _MOST_KEYS:
                raise CannotMirrorError(f"table {self._table} has more than {_MOST_KEYS} different keys of metrics")
            self._layout.add_key(column, key)

    def _encode_column(self, rows: pa.Table, name: str, bad: pa.ChunkedArray) -> pa.Table:
        column = rows.column(name)
        encoded = self._encode(name, pc.unique(column.filter(bad)).to_pylist())
        places = pc.index_in(column, pa.array(list(encoded.texts), pa.string()))
        nowhere = pa.scalar(None, pa.int32())
        texts = pc.take(pa.array(list(encoded.texts.values()), pa.string()), pc.if_else(bad, places, nowhere))
        return rows.set_column(rows.column_names.index(name), name, pc.coalesce(texts, column))

    def _encode(self, name: str, texts: Iterable[str]) -> EncodedTexts:
        encoded = encode(texts)
        self._layout.unfit.add(name)
        if not encoded.exact:
            self._layout.inexact.add(name)
        self._add_keys(name, encoded.keys)
        known = self._layout.keys.get(name, {})
        self._layout.coded |= {known[key] for key in encoded.coded if key in known}
        return encoded

    def _split(self, rows: pa.Table, *, check: bool) -> pa.Table:
        """Return the values of the known keys.

        With ``check``, columns ``bad:...`` mark the texts that these values do not represent completely. Arrow takes
        half as long as DuckDB for the check.
        """
        texts, shown = {}, []
        for name in rows.column_names:
            keys = self._layout.keys.get(name)
            if keys:
                texts[name] = self._only_regular(name, rows.column(name)) if check else _only_filled(rows.column(name))
                shown.append((name, keys))
        values = self._transform(pa.table(texts), shown) if shown else {}
        if check:
            for name in rows.column_names:
                places = self._layout.keys.get(name, {}).values()
                values[f"bad:{name}"] = _bad(rows.column(name), [values[place] for place in places])
        return pa.table(values)

    def _only_regular(self, name: str, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        regular = fits_metric(texts)
        if not pc.all(pc.or_(regular, pc.is_in(texts, _EMPTY)), min_count=0).as_py():
            self._layout.unfit.add(name)
            regular = pc.match_substring_regex(texts, f"^{_REGULAR}$")
        return pc.if_else(regular, texts, pa.scalar(None, pa.string()))

    def _transform(self, texts: pa.Table, shown: list[tuple[str, dict[str, str]]]) -> dict[str, pa.ChunkedArray]:
        structs, values = ["*"], []
        for index, (name, keys) in enumerate(shown):
            fields = _fields(keys)
            if fields:
                shape = text(json.dumps(dict.fromkeys(fields, "DOUBLE")))
                structs.append(f"json_transform({quote(name)}, {shape}) AS s{index}")
            for key, place in keys.items():
                pointer = text("/" + key.replace("~", "~0").replace("/", "~1"))
                alone = f"TRY_CAST(json_extract_string({quote(name)}, {pointer}) AS DOUBLE)"
                values.append(f"{f's{index}.{quote(key)}' if key in fields else alone} AS {quote(place)}")
        self._duck.register("mirror_texts", texts)
        try:
            statement = f"SELECT {', '.join(values)} FROM (SELECT {', '.join(structs)} FROM mirror_texts)"  # noqa: S608 - quoted
            found = self._duck.sql(statement).to_arrow_table()
        finally:
            self._duck.unregister("mirror_texts")
        return dict(zip(found.column_names, found.columns, strict=True))


def _fields(keys: Iterable[str]) -> set[str]:
    """Return the keys that can be fields of one DuckDB struct: not empty, and different even if case is ignored."""
    fields: dict[str, str] = {}
    for key in keys:
        if key:
            fields.setdefault(key.lower(), key)
    return set(fields.values())


def _only_filled(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.is_in(texts, _EMPTY), pa.scalar(None, pa.string()), texts)


def _bad(texts: pa.ChunkedArray, values: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Return which texts hold anything besides these values. A text has two quotes for each key."""
    present: Any = pa.chunked_array([pa.repeat(pa.scalar(0, pa.int32()), len(texts))])
    for value in values:
        present = pc.add(present, pc.fill_null(pc.is_finite(value), False).cast(pa.int32()))
    quotes = pc.count_substring(texts, '"')
    untold = pc.or_(pc.equal(present, 0), pc.not_equal(quotes, pc.multiply(present, 2)))
    return pc.fill_null(pc.and_(pc.invert(pc.is_in(texts, _EMPTY)), untold), False)


def lists_of(table: Table, layout: TableLayout) -> tuple[str, ...]:
    """Return the columns of JSON arrays that the table has. `list_column` names the columns with their texts."""
    return tuple(column for column in LISTS.get(table, ()) if column in layout.columns)


def _lists(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(map(_members, texts.to_pylist()), pa.list_(pa.string()))])


def _members(text: str | None) -> list[str]:
    """Return the texts in a JSON array that a question can look for; none for any other text.

    SQLite compares an array within the array as its text. Half of a surrogate pair is no character: no question has it.
    """
    if not text or not text.startswith("["):
        return []
    try:
        found = _anything.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        found = _decoded(text)
    members = [_compact(one) if isinstance(one, list | dict) else one for one in found]
    return [one for one in members if isinstance(one, str) and HALF_OF_A_PAIR.search(one) is None]


def _decoded(text: str) -> list[Any]:
    try:
        found: list[Any] = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return []
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
