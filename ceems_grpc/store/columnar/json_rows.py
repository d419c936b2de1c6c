"""Rows of the database as JSON objects, which SQLite joins from the texts that it stores.

The JSON that CEEMS writes into its columns has the form of its API's answers: numbers have at most 8 decimals, and
objects have no spaces. So rows need not be parsed. One ``printf`` per row joins its texts, which takes a small part of
the time that reading them as columns takes. This form is checked, not assumed: the mirror has seen every text. If a
column has a text of another form, the joined text is matched with an expression that matches only the API's form, and
rows that do not match are returned as columns.

Empty values are left out of a row. The *shape* of a row says which values remain: one bit for each column that the row
shows, or -1 for a row with invalid JSON in a JSON column.
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Protocol, runtime_checkable

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.schema import INTEGERS, OBJECTS, is_metric
from ceems_grpc.store.columnar.json_texts import API_METRIC, EMPTY_VALUES
from ceems_grpc.store.columnar.layout import TableLayout, quote, text
from ceems_grpc.store.columnar.values import usable
from ceems_grpc.store.plan import Scan

_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_SCALAR = f"(?:{_STRING}|{_NUMBER}|true|false|null)"
_VALUE = rf"(?:{_SCALAR}|\{{(?:{_STRING}:{_SCALAR}(?:,{_STRING}:{_SCALAR})*)?\}}|\[(?:{_SCALAR}(?:,{_SCALAR})*)?\])"
_OBJECT = rf"\{{{_STRING}:{_VALUE}(?:,{_STRING}:{_VALUE})*\}}"
_TEXT = _STRING.removesuffix('*"') + '+"'
_INTEGER = r"-?[1-9][0-9]{0,18}"
_NOTHING = pa.array(EMPTY_VALUES)
_AS_IT_IS = r"^[ !#-\[\]-~]*$"  # a text that JSON writes as it is
_ROWS_A_TEXT = 1_024
_MOST_SHAPES = 16  # each is a part of the statement


@dataclass(frozen=True, slots=True)
class JsonScan:
    """Which rows to return as JSON. All columns of ``scan`` are plain names.

    ``metrics``: the columns with objects of numbers. ``objects``: the columns with other JSON objects. The other
    columns are integers or texts, by their names. Empty texts and objects are left out, and so is the integer 0.
    """

    scan: Scan
    metrics: frozenset[str]
    objects: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order of the rows' JSON."""
        return tuple(str(column) for column in self.scan.columns)


@dataclass(frozen=True, slots=True)
class JsonText:
    """Rows as JSON objects, joined by commas."""

    num_rows: int
    text: bytes


@runtime_checkable
class WritesJson(Protocol):
    """A reader that can return rows as JSON."""

    def json_rows(self, plan: JsonScan) -> AsyncIterator[JsonText | pa.RecordBatch]:
        """Yield the rows of a scan in order: as JSON, or as columns if they do not have the API's form.

        Batches are those of `Reader.batches`. There is at least one item. If a scan finds as many rows as its limit,
        the last row is an item of its own. So a caller that asks for one row more than it wants can leave it out.
        """
        ...


def note_texts(layout: TableLayout, rows: pa.Table) -> None:
    """Note in the layout which columns of these rows have texts that do not have the API's form; see `TableLayout`.

    Metrics are checked where they are parsed; see `fits_metric`.
    """
    for name in layout.columns:
        if name in INTEGERS or is_metric(name) or name not in rows.column_names:
            continue
        texts = rows.column(name)
        if name not in layout.unfit and not _all_fit(texts, is_object=name in OBJECTS):
            layout.unfit.add(name)
        if name not in layout.gappy and pc.any(pc.fill_null(pc.equal(pc.binary_length(texts), 0), True)).as_py():
            layout.gappy.add(name)


def fits_metric(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which texts are objects of numbers in the API's form."""
    return pc.match_substring_regex(texts, f"^{API_METRIC}$")


def _all_fit(texts: pa.ChunkedArray, *, is_object: bool) -> bool:
    if is_object:
        different = pc.unique(texts)  # many are equal
        fit = pc.or_(pc.match_substring_regex(different, f"^{_OBJECT}$"), pc.is_in(different, _NOTHING))
    else:
        fit = pc.match_substring_regex(texts, _AS_IT_IS)
    return bool(pc.all(fit, min_count=0).as_py())


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows: their ids, and the parameter of the statement, which holds the ids and shapes.

    ``is_odd``: the statement does not handle the shape of at least one of the rows.
    """

    ids: list[int]
    parameter: str
    is_odd: bool


class RowTexts:
    """The statement that joins rows, and its parameters for all rows in order."""

    def __init__(self, plan: JsonScan, marks: Sequence[str], rows: pa.Table, *, fit: bool) -> None:
        """Take rows in the form of `DuckSql.json_rows`: ids, and shapes with one bit for each of ``marks``.

        ``fit``: whether all texts have the API's form.
        """
        self._plan = plan
        self.fit = fit
        self._marks = marks
        self._ids: pa.ChunkedArray = rows.column(0)
        found = [item for item in pc.value_counts(rows.column(1)).to_pylist() if item["values"] >= 0]
        common = sorted(found, key=lambda item: -int(item["counts"]))[:_MOST_SHAPES]
        self._shapes = [int(item["values"]) for item in common]
        places = pc.fill_null(pc.index_in(rows.column(1), pa.array(self._shapes, pa.int64())), len(self._shapes))
        self._places = places.cast(pa.int64())

    @property
    def statement(self) -> str:
        """The SQL text. It takes a `Chunk.parameter` and returns one BLOB: the rows in order, joined by commas."""
        count = len(self._shapes) + 1
        cases = " ".join(f"WHEN {place} THEN {self._row(shape)}" for place, shape in enumerate(self._shapes))
        row = f"CASE j.value % {count} {cases} END" if cases else "NULL"
        return f"SELECT CAST(group_concat({row}, ',') AS BLOB) FROM {self._rows('j.value / ' + str(count))}"  # noqa: S608

    @property
    def columns_statement(self) -> str:
        """The SQL text that takes a JSON array of ids and returns the rows as columns."""
        columns = [usable(name, f"u.{quote(name)}") for name in self._plan.names]
        return f"SELECT {', '.join(columns)} FROM {self._rows('j.value')}"  # noqa: S608 - quoted names

    def chunks(self, limit: int | None) -> Iterator[Chunk]:
        """Yield all rows in chunks. The row at the limit is a chunk of its own."""
        count = len(self._shapes) + 1
        total = len(self._ids)
        last = total - 1 if limit is not None and total >= limit else total
        starts = [*range(0, last, _ROWS_A_TEXT), *([last] if last < total else [])]
        for start, end in pairwise([*starts, total]):
            ids = self._ids.slice(start, end - start)
            places = self._places.slice(start, end - start)
            coded = pc.add(pc.multiply_checked(ids, count), places)
            is_odd = bool(pc.equal(pc.max(places), count - 1).as_py())
            yield Chunk(ids.to_pylist(), msgspec.json.encode(coded.to_pylist()).decode(), is_odd)

    def _rows(self, row: str) -> str:
        # CROSS JOIN makes SQLite loop over its left side first, so rows come in the order of the array.
        return f"json_each(?) AS j CROSS JOIN {quote(self._plan.scan.table)} AS u ON u.rowid = {row}"

    def _row(self, shape: int) -> str:
        marks = {name: bool(shape >> bit & 1) for bit, name in enumerate(self._marks)}
        pieces, values = [], []
        for name in self._plan.names:
            if not marks.get(name, True):
                continue
            column = f"u.{quote(name)}"
            place = "%d" if name in INTEGERS else "%s"
            if name not in INTEGERS | self._plan.metrics | self._plan.objects:
                place = '"%s"' if self.fit else "%s"
                column = column if self.fit else f"json_quote({column})"  # json_quote takes half of the time
            pieces.append(f'"{name}":{place}')
            values.append(column)
        return f"printf({', '.join([text('{' + ','.join(pieces) + '}'), *values])})"


def is_own_form(plan: JsonScan, rows: bytes) -> bool:
    """Return whether all rows that `RowTexts.statement` has joined have the API's form."""
    length = pa.array([0, len(rows)], pa.int32()).buffers()[1]
    whole = pa.StringArray.from_buffers(1, length, pa.py_buffer(rows))  # without a copy
    return bool(pc.match_substring_regex(whole, _own_form(plan))[0].as_py())


@lru_cache(32)
def _own_form(plan: JsonScan) -> str:
    # The pieces match in any order. The order is known to be right, and checking it takes three times as long.
    forms: dict[str, list[str]] = {}
    for name in plan.names:
        if name in INTEGERS:
            form = _INTEGER
        elif name in plan.metrics:
            form = API_METRIC
        else:
            form = _OBJECT if name in plan.objects else _TEXT
        forms.setdefault(form, []).append(re.escape(name))
    pieces = [f'"(?:{"|".join(names)})":{form}' for form, names in forms.items()]
    return rf"^(?:\{{(?:(?:{'|'.join(pieces)}),?)*\}}(?:,|$))*$"
