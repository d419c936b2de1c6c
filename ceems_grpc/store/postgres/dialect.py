"""Plans as SQL for the tables in PostgreSQL; see `ceems_grpc.store.postgres.schema` for their content.

Sums are computed in two steps: first by ``part`` and group, then over the parts. Other servers do the first step for
their partitions, so that step uses only what postgres_fdw can push down: no COALESCE, GREATEST or LEAST, no casts
through text, and no collations except those of the columns.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from ceems_grpc.schema import ADMINISTERED, INTEGERS, is_metric
from ceems_grpc.store.columnar.json_paths import paths_of
from ceems_grpc.store.columnar.layout import ROW, quote, text
from ceems_grpc.store.columnar.values import INT64, NUMBER_FORM
from ceems_grpc.store.errors import lacking
from ceems_grpc.store.plan import (
    Aggregate,
    Condition,
    Histogram,
    Key,
    KeyScan,
    Max,
    Measure,
    Min,
    Operand,
    Order,
    Spread,
    Sum,
    Table,
    WeightedSum,
    WeightOf,
)
from ceems_grpc.store.postgres.schema import LARGE_TABLES, PART, SITE, TableCatalog, json_column, json_objects
from ceems_grpc.store.sql.base import SHARE, STEP, SortKey
from ceems_grpc.store.sql.columns import ColumnCompiler
from ceems_grpc.store.sql.measures import LAST
from ceems_grpc.store.sql.values import booleans_of, numbers_of

_INTEGER = re.compile(r"-?[0-9]{1,300}")
_LEADING_NUMBER = r"^[ \t\n\v\f\r]*([-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)"
"""The feeder's own column of admin_users: a JSON list of the clusters that the names of a row administer."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables of the database at one moment.

    ``rollups``: whether the rollups of units may be used. ``shards``: the partitions of units on other servers.
    """

    schema: str
    tables: Mapping[str, TableCatalog]
    sites: tuple[str, ...]
    rollups: bool = False
    shards: tuple[str, ...] = ()

    def place(self, name: str) -> str:
        """Write the name of a table."""
        return f"{quote(self.schema)}.{quote(name)}"


class PostgresSql(ColumnCompiler):
    """Compiles a plan for PostgreSQL."""

    def __init__(self, table: Table, catalog: Catalog) -> None:
        super().__init__(table, catalog.tables.get(table))
        self.catalog = catalog
        self.layout: TableCatalog = catalog.tables[table]
        self._used: dict[str, None] = {}  # the columns written so far, for inner selects

    # Names and parameters

    @property
    def place(self) -> str:
        """The table, as a statement names it."""
        return self.catalog.place(self.table)

    def named(self, place: str) -> str:
        """Write a column of the table."""
        quoted = quote(place)
        self._used[quoted] = None
        return quoted

    def placeholder(self, value: object) -> str:
        """Add a parameter and return its placeholder."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def value(self, value: str | float) -> str:
        """Add a text or a number as a parameter, and return its placeholder. Integers are limited to 64 bits."""
        if isinstance(value, str):
            return f"{self.placeholder(value)}::{self.text_type}"
        if isinstance(value, float):
            return f"{self.placeholder(value)}::{self.float_type}"
        return f"{self.placeholder(min(max(value, INT64[0]), INT64[-1]))}::{self.integer_type}"

    def storable(self, values: Iterable[str | None]) -> list[str]:
        """Return the texts that PostgreSQL can store. Other texts, and null, equal none of its values."""
        found = []
        for value in values:
            with suppress(UnicodeEncodeError):
                if value is not None and b"\0" not in value.encode():
                    found.append(value)
        return found

    def comparable(self, name: str) -> str:
        """Write a column in the form in which its values are compared or sorted."""
        return self.json_text(name) if is_metric(name) else self.column(name)

    # Sums

    @property
    def sharded_by(self) -> tuple[str, ...]:
        """The columns that distribute the rows of the table over servers, each of which sums its own rows."""
        return (PART,) if self.table in LARGE_TABLES else ()

    def takes_two_steps(self, plan: Aggregate) -> bool:
        """Return True: sums are added up, because servers sum their own rows."""
        return True

    def weight(self, key: Key) -> str:
        """Write a weight: 0 if a row has none."""
        number = self.number(key)
        return f"(CASE WHEN {number} IS NULL THEN 0 ELSE {number} END)"

    def number(self, key: Key) -> str:
        """Write the value that counts in sums, even for a JSON object that is not a metric."""
        if is_metric(key.column):
            return super().number(key)
        found = self._value(key)
        if found is None:
            return f"NULL::{self.float_type}"
        leading = f"substring({found} #>> '{{}}' FROM {text(_LEADING_NUMBER)})::float8"
        return (
            f"(CASE jsonb_typeof({found}) WHEN 'number' THEN {found}::float8 WHEN 'boolean' THEN {found}::bool::int"
            f" WHEN 'string' THEN coalesce({leading}, 0) WHEN 'null' THEN NULL ELSE 0 * length({found}::text) END)"
        )

    def parts(self, plan: Spread) -> str:
        """Write the units of a spread, with a row for each step in which they ran. Steps are found by binary search."""
        bounds = self.values([*plan.starts, plan.end], self.integer_type)
        steps = len(plan.starts)
        needed = dict.fromkeys([*map(self.column, plan.by), *map(quote, self._places_of(plan.measures))])
        read = ", ".join([*needed, f"{self.run_start()} AS s", f"{self.run_end()} AS e"])
        return (
            f"read AS MATERIALIZED (SELECT {read} FROM {self.rows(plan.where)}),"  # noqa: S608 - quoted names
            f" bounds AS (SELECT {bounds} AS a),"
            f" parts AS (SELECT read.*, step AS {quote(STEP)},"
            f" e <= a[step + 2] OR step = {steps - 1:d} AS {quote(LAST)},"
            f" (least(e, a[step + 2]) - greatest(s, a[step + 1])) / (e - s)::float8 AS {quote(SHARE)}"
            " FROM read, bounds, generate_series(greatest(width_bucket(s, a) - 1, 0),"
            f" least(width_bucket(e - 1, a), {steps:d}) - 1) AS step WHERE e > s)"
        )

    def histogram(self, plan: Histogram) -> str:
        """Return the statement of a histogram; servers count their own rows."""
        return self.counted_by(plan, [(self.as_text(name), name) for name in plan.by], *self.sharded_by)

    def bucket(self, value: str, bounds: Sequence[float]) -> str:
        """Write how many of the bounds are not above a column, found by binary search."""
        kind = self.integer_type if all(isinstance(bound, int) for bound in bounds) else self.float_type
        return f"width_bucket({value}, {self.values(bounds, kind)})" if bounds else "0"

    def _places_of(self, measures: Iterable[Measure]) -> Iterator[str]:
        for measure in measures:
            keys: tuple[Key, ...] = ()
            match measure:
                case Sum(_, Key() as operand) | Min(_, operand) | Max(_, operand):
                    keys = (operand,)
                case WeightedSum(_, value, weight) | WeightOf(_, value, weight):
                    keys = (value, weight)
            for key in keys:
                place = self.place_of(key) if is_metric(key.column) else json_column(key.column)
                if place is not None:
                    yield place

    # Keys

    def keys(self, plan: KeyScan) -> tuple[str, list[tuple[str, str]]]:
        """Return a statement that returns one row of booleans, and the column and key of a metric for each of them."""
        found = self.keys_asked(plan)
        counts = ", ".join(f"count({self.named(place)}) AS k{index}" for index, (*_, place) in enumerate(found))
        present = ", ".join(f"coalesce(sum(k{index}), 0) > 0 AS k{index}" for index in range(len(found)))
        is_whole = plan.recent is None or not self.catalog.sites  # only the table itself has column part
        groups = f" GROUP BY {PART}" if is_whole and self.sharded_by else ""
        rows = f"SELECT {counts} FROM {self.rows(plan.where, plan.recent)}{groups}"  # noqa: S608 - quoted names
        return f"SELECT {present} FROM ({rows}) AS counts", [pair[:2] for pair in found]  # noqa: S608 - quoted names

    def keys_of_object(self, plan: KeyScan, column: str) -> str:
        """Return a statement that returns the keys of a JSON column that is not a metric, one per row."""
        self.require(column)
        source = self.named(json_column(column))
        rows = f"SELECT {source} AS object FROM {self.rows(plan.where, plan.recent)}"  # noqa: S608 - quoted names
        return f"SELECT DISTINCT jsonb_object_keys(object) AS key FROM ({rows}) AS objects"  # noqa: S608 - quoted names

    # Conditions

    def is_not_in(self, operand: Operand, values: tuple[str, ...]) -> str:
        """Write the condition that an operand is none of the values, or has no value."""
        within = self.is_in(operand, values)
        if within == self.never:
            return self.always
        if isinstance(operand, str):
            known = self.comparable(operand)
        elif is_metric(operand.column):
            known = self.named(self.place_of(operand) or "")
        else:
            known = self.named(json_column(operand.column))
        return f"({known} IS NULL OR NOT {within})"

    def is_listed(self, column: str, values: Sequence[str | float], kind: str) -> str:
        """Write the condition that a column is one of the values."""
        return f"({column} = ANY ({self.values(values, kind)}))" if values else self.never

    def object_is_in(self, key: Key, values: tuple[str, ...]) -> str:
        """Write the condition that a value in a JSON object is one of the values."""
        value = self._value(key)
        if value is None:
            return self.never
        numbers = numbers_of(values)
        wanted: list[object] = [*self.storable(values), *numbers]
        wanted += [int(one) for one in values if _INTEGER.fullmatch(one)]  # several large integers have the same float
        wanted += [truth for truth, found in zip((True, False), booleans_of(values), strict=True) if found]
        if not wanted:
            return self.never
        column = self.named(json_column(key.column))
        paths = [path for path in paths_of(key.name) if len(self.storable(path)) == len(path)]
        earlier = ""  # the first path with a value wins
        parts = []
        for path in paths:
            # "The object has this key with this value, or with a list that holds it" can be pushed down.
            objects = [json.dumps(_within(path, one)) for value in wanted for one in (value, [value])]
            parts.append(f"{earlier}{column} @> ANY ({self.values(objects, self.text_type)}::jsonb[])")
            if len(paths) > 1:
                at = self._at(column, path)
                earlier += f"({at} IS NULL OR {at} = 'null'::jsonb) AND "
        found = " OR ".join(parts)
        nested = [one for one in self.storable(values) if _is_nested(one)]
        if nested:
            same = f"{value} = ANY ({self.values(nested, self.text_type)}::jsonb[])"
            found += f" OR ({value} IS NOT NULL AND {same})"
        return f"({found})"

    def pair_is_listed(self, first: str, second: str, pairs: Sequence[tuple[str, str]]) -> str:
        """Write the condition that two columns are one of the pairs."""
        by_first: dict[str, list[str]] = {}
        for one, two in pairs:
            if len(self.storable((one, two))) == 2:
                by_first.setdefault(one, []).append(two)
        # There are few clusters. Equalities can be pushed down to other servers, joins with lists of pairs cannot.
        parts = [
            f"({first} = {self.value(one)} AND {second} = ANY ({self.values(many, self.text_type)}))"
            for one, many in by_first.items()
        ]
        return f"({' OR '.join(parts)})" if parts else self.never

    def number_in_text(self, column: str) -> str:
        """Write the number that a text is."""
        return f"(CASE WHEN {column} ~ {text(f'^(?:{NUMBER_FORM})$')} THEN {column}::float8 END)"

    def compare_object(self, key: Key, operator: str, value: float) -> str:
        """Write the condition that a value in a JSON object is a number in that relation to the value."""
        found = self._value(key)
        if found is None:
            return self.never
        wanted = self.value(repr(float(value))) + "::numeric"
        return (
            f"(CASE jsonb_typeof({found}) WHEN 'number' THEN {found}::numeric {operator} {wanted}"
            f" WHEN 'boolean' THEN {found}::bool::int {operator} {wanted} ELSE false END)"
        )

    def holds(self, column: str, values: tuple[str, ...]) -> str:
        """Write the condition that a JSON array holds one of the values."""
        if column != ADMINISTERED:
            return super().holds(column, values)
        wanted = self.storable(values)
        return f"({self.column(column)}::jsonb ?| {self.values(wanted, self.text_type)})" if wanted else self.never

    def operand_text(self, operand: Operand) -> str:
        """Write an operand as a text."""
        if isinstance(operand, str):
            return self.as_text(operand) if operand in INTEGERS else self.comparable(operand)
        if is_metric(operand.column):
            return f"{self.number(operand)}::{self.text_type}"
        found = self._value(operand)
        return f"NULL::{self.text_type}" if found is None else f"({found} #>> '{{}}')"

    def _value(self, key: Key) -> str | None:
        """Write the value of a key of a JSON column that is not a metric; None if no row can have it."""
        self.require(key.column)
        if key.column not in json_objects(self.table, self.layout.objects):
            raise lacking(f"column {key.column} with keys")
        if not self.storable([key.name]):
            return None
        column = self.named(json_column(key.column))
        *places, last = [self._at(column, path) for path in paths_of(key.name)]
        if not places:
            return last
        cases = " ".join(f"WHEN {place} <> 'null'::jsonb THEN {place}" for place in places)
        return f"(CASE {cases} ELSE {last} END)"

    def _at(self, column: str, path: tuple[str, ...]) -> str:
        return f"({' -> '.join([column, *map(self.value, path)])})"

    # Order and rows

    def object_sort_key(self, key: Key, item: Order) -> Iterator[SortKey]:
        """Yield the sort keys for a value in a JSON object. Numbers sort before texts."""
        if item.numeric:
            yield self.number(key), item.descending
            return
        found = self._value(key)
        if found is None:
            return
        kind = f"jsonb_typeof({found})"
        number = f"CASE {kind} WHEN 'number' THEN {found}::numeric WHEN 'boolean' THEN {found}::bool::int END"
        yield f"({kind} IS NULL OR {kind} = 'null')", False
        yield f"({kind} IN ('number', 'boolean'))", not item.descending
        yield f"({number})", item.descending
        yield f"({found} #>> '{{}}') COLLATE \"C\"", item.descending

    def ties(self) -> Iterator[SortKey]:
        """Yield the last sort keys, which order rows that are otherwise equal: site, then SQLite's row ids."""
        yield SITE, False
        yield from super().ties()

    def rows(self, where: Condition, recent: int | None = None) -> str:
        """Write the rows that meet a condition. ``recent``: only among that many newest rows of each site."""
        condition = self.condition(where)  # first, because an inner select names the columns written so far
        place = self.place if recent is None else self.recent_rows(recent)
        return f"{place} WHERE {condition}"

    def recent_rows(self, count: int) -> str:
        """Write the most recently added rows of each site, with the columns written so far."""
        order = f"ORDER BY {quote(ROW)} DESC LIMIT {self.value(max(count, 0))}"
        columns = ", ".join(dict.fromkeys([*self._used, quote(ROW)]))
        newest = []
        for site in map(self.value, self.catalog.sites):
            rows = f"SELECT {columns} FROM {self.place} WHERE {SITE} = {site}"  # noqa: S608 - quoted names
            if self.table is Table.UNITS and self.catalog.shards:
                # A limit is pushed down to a server only if the statement names its partition.
                places = map(self.catalog.place, self.catalog.shards)
                parts = [f"(SELECT {columns} FROM {place} WHERE {SITE} = {site} {order})" for place in places]  # noqa: S608 - quoted names
                rows = f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS parts"  # noqa: S608 - written above
            newest.append(f"({rows} {order})")
        return f"({' UNION ALL '.join(newest)}) AS newest" if newest else self.place


def _within(path: tuple[str, ...], value: object) -> object:
    """Return the JSON object that has the value at the path."""
    for part in reversed(path):
        value = {part: value}
    return value


def _is_nested(value: str) -> bool:
    """Return whether the text is a JSON object or array that PostgreSQL can store."""
    if value[:1] not in {"{", "["} or "\\u0000" in value:
        return False
    with suppress(ValueError, RecursionError):
        msgspec.json.decode(value)
        return True
    return False
