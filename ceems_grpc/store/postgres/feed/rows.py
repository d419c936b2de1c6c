"""Convert typed rows of a CEEMS database (see `typed_rows`) to rows of the tables in PostgreSQL."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.schema import is_metric
from ceems_grpc.store.columnar.layout import ROW, quote, text
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.schema import DIGEST, LARGE_TABLES, PART, SITE, json_column, part_of

# PostgreSQL raises an error if a product overflows or underflows; other engines return infinity or 0.
_TINY, _HUGE = 1e-150, 1e150
_JSONB = "\x01"  # the version at the start of PostgreSQL's binary form of jsonb; the JSON text follows


class RowMaker:
    """Makes the rows of one site, each with a digest. Within one version of DuckDB, equal rows have equal digests."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._duck = duckdb.connect(config={"memory_limit": "256MB", "threads": 1})

    def make(self, table: Table, rows: pa.Table, places: Mapping[str, str], objects: Collection[str]) -> pa.Table:
        """Return the rows with PostgreSQL's columns.

        ``places``: {key column of the layout: column of PostgreSQL}. ``objects``: the columns that also have a
        `json_column`.
        """
        made: dict[str, Any] = {}
        for name in rows.column_names:
            column = rows.column(name)
            if name in places:
                made[places[name]] = _bounded(column)
            elif pa.types.is_string(column.type):
                made[name] = _without_nul(column)
            elif pa.types.is_list(column.type):
                made[name] = _lists_without_nul(column)
            elif not is_metric(name):
                made[name] = column
        made |= {json_column(name): _jsonb(made[name]) for name in objects if name in made}
        found = pa.table(made)
        found = found.append_column(DIGEST, self._digests(found))
        found = found.append_column(SITE, pa.array([self._site] * found.num_rows, pa.string()))
        return found.append_column(PART, self._parts(found)) if table in LARGE_TABLES else found

    def close(self) -> None:
        """Close DuckDB."""
        self._duck.close()

    def _digests(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return a digest of all values for each row. Nulls do not count, so a new empty column changes nothing."""
        digest = "0::UBIGINT"
        for name in rows.column_names:
            if name == ROW:
                continue
            column = quote(name)
            digest = f"xor({digest}, CASE WHEN {column} IS NULL THEN 0::UBIGINT ELSE hash({text(name)}, {column}) END)"
        self._duck.register("rows", rows)
        try:
            statement = f"SELECT CAST({digest} >> 1 AS BIGINT) AS digest FROM rows"  # noqa: S608 - quoted names
            return self._duck.sql(statement).to_arrow_table().column("digest")
        finally:
            self._duck.unregister("rows")

    def _parts(self, rows: pa.Table) -> pa.Array:
        empty = pa.nulls(rows.num_rows, pa.string())
        pairs = [rows.column(name) if name in rows.column_names else empty for name in ("cluster_id", "username")]
        known: dict[tuple[str | None, str | None], int] = {}
        parts = []
        for pair in zip(*(column.to_pylist() for column in pairs), strict=True):
            part = known.get(pair)
            if part is None:
                part = known[pair] = part_of(self._site, *pair)
            parts.append(part)
        return pa.array(parts, pa.int16())


def _bounded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    size = pc.abs(column)
    tiny = pc.and_(pc.less(size, _TINY), pc.greater(size, 0.0))
    huge = pc.and_(pc.greater(size, _HUGE), pc.is_finite(size))  # infinity is a code, see layout
    if pc.any(tiny).as_py():
        column = pc.if_else(tiny, 0.0, column)
    return pc.if_else(huge, pc.multiply(pc.sign(column), _HUGE), column) if pc.any(huge).as_py() else column


def _without_nul(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Remove NUL from texts, because PostgreSQL cannot store it."""
    if not pc.any(pc.match_substring(column, "\0")).as_py():
        return column
    return pa.chunked_array(
        [pa.array([value and value.replace("\0", "") for value in column.to_pylist()], pa.string())]
    )


def _lists_without_nul(column: pa.ChunkedArray) -> pa.ChunkedArray:
    lists = [None if value is None else [item.replace("\0", "") for item in value] for value in column.to_pylist()]
    return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])


def _jsonb(column: pa.ChunkedArray) -> pa.ChunkedArray:
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    objects = pa.array([_object(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([pc.take(objects, encoded.indices)])


def _object(value: str) -> str | None:
    """Return the binary form of jsonb for a text, or None if it is not a JSON object, or jsonb cannot store it."""
    try:
        if not isinstance(msgspec.json.decode(value), dict):
            return None
        if "\\u" in value:  # JSON allows NUL and lone surrogates; PostgreSQL does not
            decoded = json.dumps(json.loads(value), ensure_ascii=False)
            decoded.encode()
            if "\\u0000" in decoded:
                return None
    except (ValueError, RecursionError, UnicodeError):
        return None
    return _JSONB + value
