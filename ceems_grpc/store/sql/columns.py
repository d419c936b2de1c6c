"""Plans for engines with the column layout, in which each key of a metric is a column of numbers.

See `ceems_grpc.store.columnar.layout` for the layout. PostgreSQL and DuckDB understand the same SQL for most of it,
including the names of types and the order of numbers, in which NaN is greater than Infinity.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from ceems_grpc.schema import DESCRIBED, INTEGERS, LISTS, is_metric
from ceems_grpc.store.columnar.layout import DAY, MOMENT, ROW, list_column, quote, text
from ceems_grpc.store.columnar.values import INT64
from ceems_grpc.store.errors import lacking, no_table
from ceems_grpc.store.plan import AllKeys, Key, KeyScan, Operand, Order, Scan, Table
from ceems_grpc.store.sql.base import Compiler, SortKey
from ceems_grpc.store.sql.values import LOWER, UPPER, ascii_lower, integers_meant, json_key, numbers_of

_NAN, _INFINITY = "'NaN'::float8", "'Infinity'::float8"  # the codes: not a number, and JSON's null
_MOST_ARGUMENTS = 50  # PostgreSQL functions take at most 100 arguments, and each key takes one


def without_codes(column: str) -> str:
    """Write a column of numbers with its codes resolved: 0 for a value that is not a number, null for JSON's null."""
    return f"(CASE WHEN {column} < {_INFINITY} THEN {column} WHEN {column} = {_NAN} THEN 0 END)"


class KeptColumns(Protocol):
    """What a copy keeps of one table; see `ceems_grpc.store.columnar.layout.TableLayout`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the CEEMS table."""
        ...

    @property
    def keys(self) -> Mapping[str, Mapping[str, str]]:
        """For each metric, {key: column of the copy}."""
        ...

    @property
    def coded(self) -> AbstractSet[str]:
        """The columns of the copy that hold codes."""
        ...


class ColumnCompiler(Compiler):
    """Compiles plans for the column layout.

    ``layout``: None if the database has no such table. Raises `StoreSchemaError` in that case, and `StoreError` for
    columns that the table lacks.
    """

    def __init__(self, table: Table, layout: KeptColumns | None) -> None:
        if layout is None:
            raise no_table(table)
        super().__init__(table)
        self.kept: KeptColumns = layout

    # Columns

    def named(self, place: str) -> str:
        """Write a column of the copy."""
        return quote(place)

    def column(self, name: str) -> str:
        """Write a column that is not a metric."""
        self.require(name)
        if is_metric(name):
            raise self.unsupported(f"{name} is a JSON object: name one of its keys")
        return self.named(name)

    def require(self, name: str) -> None:
        """Raise `StoreError` if the table has no such column."""
        if name not in self.kept.columns:
            raise lacking(f"column {name}")

    def require_exact(self, name: str) -> None:
        """Raise an error if the copy does not hold the column's values exactly."""

    def keys_of(self, metric: str) -> list[tuple[str, str]]:
        """Return the keys of a metric and their columns, in order of the keys."""
        self.require(metric)
        self.require_exact(metric)
        return sorted(self.kept.keys.get(metric, {}).items())

    def place_of(self, key: Key) -> str | None:
        """Return the column of a metric's key, or None if no row has the key."""
        self.require(key.column)
        if not is_metric(key.column):
            raise self.unsupported(f"{key.column} holds no numbers")
        self.require_exact(key.column)
        return self.kept.keys.get(key.column, {}).get(key.name)

    def number(self, key: Key) -> str:
        """Write the value that counts in sums: null if there is none, 0 for a value that is not a finite number."""
        place = self.place_of(key)
        return f"NULL::{self.float_type}" if place is None else self.decoded(place)

    def decoded(self, place: str) -> str:
        """Write a column of numbers with its codes resolved."""
        name = self.named(place)
        if place not in self.kept.coded:
            return name
        return without_codes(name)

    def json_text(self, metric: str) -> str:
        """Write a metric as JSON text: the same keys with the same numbers, in order of the keys."""
        parts = []
        for key, place in self.keys_of(metric):
            name = self.named(place)
            value = f"CAST({name} AS {self.text_type})"
            if place in self.kept.coded:
                value = (
                    f"CASE WHEN {name} < {_INFINITY} THEN {value} WHEN {name} = {_NAN} THEN '\"NaN\"' ELSE 'null' END"
                )
            parts.append(f"CASE WHEN {name} IS NOT NULL THEN {text(json_key(key))} || {value} END")
        if not parts:
            return f"'{{}}'::{self.text_type}"
        chunks = [parts[at : at + _MOST_ARGUMENTS] for at in range(0, len(parts), _MOST_ARGUMENTS)]
        joined = [f"concat_ws(',', {', '.join(chunk)})" for chunk in chunks]
        if len(joined) > 1:
            filled = ", ".join(f"nullif({chunk}, '')" for chunk in joined)
            joined = [f"concat_ws(',', {filled})"]
        return f"('{{' || {joined[0]} || '}}')"

    def as_text(self, name: str) -> str:
        """Write a column by which rows are grouped, as the text that the answer shows."""
        column = self.column(name)
        return f"CAST({column} AS {self.text_type})" if name in INTEGERS else column

    def integer_column(self, name: str) -> str:
        """Write a column whose integers are summed."""
        if name not in INTEGERS:
            raise self.unsupported(f"column {name} holds no numbers to sum up")
        return self.column(name)

    def moment(self) -> str:
        """Write when the row was updated, in seconds since 1970."""
        self.require("last_updated_at")
        self.require_exact("last_updated_at")
        return self.named(MOMENT)

    def day(self) -> str:
        """Write the start of the UTC day in which the row was updated, in seconds since 1970."""
        self.moment()
        return self.named(DAY)

    # Scans

    def scanned(self, plan: Scan) -> Iterator[tuple[str, str]]:
        """Yield the columns of a scan. `AllKeys` of numbers become one column per key."""
        for column in plan.columns:
            if isinstance(column, AllKeys) and is_metric(column.column) and column.numeric:
                for key, place in self.keys_of(column.column):
                    yield f"{column.column}.{key}", self.decoded(place)
            else:
                name = column.column if isinstance(column, AllKeys) else column
                yield name, self.json_text(name) if is_metric(name) else self.column(name)

    def listed(self, columns: Sequence[str]) -> str:
        """Write the select list of a scan, under unique names."""
        return ", ".join(f"{column} AS c{index}" for index, column in enumerate(columns)) or "1 AS nothing"

    def sort_key(self, item: Order) -> Iterator[SortKey]:
        """Yield the sort keys for rows of the table; none if no row has the value."""
        if isinstance(item.operand, str):
            text_ = self.comparable(item.operand)
            yield self.number_in_text(text_) if item.numeric else text_, item.descending
        elif not is_metric(item.operand.column):
            yield from self.object_sort_key(item.operand, item)
        elif (place := self.place_of(item.operand)) is not None:
            resolved = item.numeric or place not in self.kept.coded
            yield self.decoded(place) if resolved else self.undecoded(place), item.descending

    def object_sort_key(self, key: Key, item: Order) -> Iterator[SortKey]:
        """Yield the sort keys for a value in a JSON object that is not a metric."""
        raise self.unsupported(f"{key} cannot be sorted by")

    def undecoded(self, place: str) -> str:
        """Write a column of numbers so that values that are not numbers sort as SQLite sorts their texts."""
        return f"nullif({self.named(place)}, {_INFINITY})"

    def ties(self) -> Iterator[SortKey]:
        """Yield the last sort keys, which order rows that are otherwise equal: SQLite's row ids."""
        yield quote(ROW), False

    # Conditions

    def is_in(self, operand: Operand, values: tuple[str, ...]) -> str:
        """Write the condition that an operand is one of the values."""
        if isinstance(operand, str):
            if operand in INTEGERS:  # a text that reads as a number is that number
                return self.is_listed(self.column(operand), integers_meant(values), self.integer_type)
            return self.is_listed(self.comparable(operand), self.storable(values), self.text_type)
        if not is_metric(operand.column):
            return self.object_is_in(operand, values)
        place = self.place_of(operand)
        return self.never if place is None else self.number_is_in(place, numbers_of(values))

    @abstractmethod
    def is_listed(self, column: str, values: Sequence[str | float], kind: str) -> str:
        """Write the condition that a column is one of the values, which may be none; ``kind``: their type."""

    @abstractmethod
    def object_is_in(self, key: Key, values: tuple[str, ...]) -> str:
        """Write the condition that a value in a JSON object that is not a metric is one of the values."""

    def number_is_in(self, place: str, numbers: list[float]) -> str:
        """Write the condition that a metric's value is one of the numbers."""
        return self.is_listed(self.named(place), numbers, self.float_type)

    def pair_is_in(self, first: str, second: str, pairs: tuple[tuple[str, str], ...]) -> str:
        """Write the condition that two text columns are one of the pairs."""
        left, right = self.column(first), self.column(second)
        if INTEGERS & {first, second}:
            raise self.unsupported("pairs are of texts")
        return self.pair_is_listed(left, right, pairs)

    @abstractmethod
    def pair_is_listed(self, first: str, second: str, pairs: Sequence[tuple[str, str]]) -> str:
        """Write the condition that two columns are one of the pairs, of which there is at least one."""

    def compare(self, operand: Operand, operator: str, value: float) -> str:
        """Write the condition that an operand is a number in that relation to the value."""
        if isinstance(operand, str):
            return self._compare_column(operand, operator, value)
        if not is_metric(operand.column):
            return self.compare_object(operand, operator, value)
        place = self.place_of(operand)
        if place is None:
            return self.never
        number = f"{self.named(place)} {operator} {self.value(float(value))}"
        return f"({number} AND {self.named(place)} < {_INFINITY})" if place in self.kept.coded else f"({number})"

    def _compare_column(self, name: str, operator: str, value: float) -> str:
        column = self.column(name)
        if name not in DESCRIBED:
            return f"({self.number_in_text(column)} {operator} {self.value(float(value))})"
        if name not in INTEGERS:
            return self.never  # texts are not numbers
        if float(value).is_integer() and int(value) in INT64:
            return f"({column} {operator} {self.value(int(value))})"
        return f"(CAST({column} AS {self.float_type}) {operator} {self.value(float(value))})"

    @abstractmethod
    def number_in_text(self, column: str) -> str:
        """Write the number that a text is, in the form of `NUMBER_FORM`; null for other texts."""

    @abstractmethod
    def compare_object(self, key: Key, operator: str, value: float) -> str:
        """Write the condition that a value in a JSON object that is not a metric is a number in that relation."""

    def holds(self, column: str, values: tuple[str, ...]) -> str:
        """Write the condition that a JSON array holds one of the values."""
        self.column(column)
        if column not in LISTS.get(self.table, ()):
            raise self.unsupported(f"column {column} holds no lists")
        wanted = self.storable(values)
        return f"({self.named(list_column(column))} && {self.values(wanted, self.text_type)})" if wanted else self.never

    def starts_with(self, operand: Operand, prefix: str) -> str:
        """Write the condition that an operand starts with the prefix."""
        if not self.storable((prefix,)):
            return self.never
        folded = f"translate({self.operand_text(operand)}, '{UPPER}', '{LOWER}')"
        return f"starts_with({folded}, {self.value(ascii_lower(prefix))})"

    def operand_text(self, operand: Operand) -> str:
        """Write an operand as a text."""
        if isinstance(operand, str) and operand not in INTEGERS:
            return self.comparable(operand)
        raise self.unsupported(f"{operand} holds no texts")

    def updated_within(self, start: int, end: int) -> str:
        """Write the condition that the row was updated between two moments, both included."""
        return f"{self.moment()} BETWEEN {self.value(start)} AND {self.value(end)}"

    def storable(self, values: Sequence[str]) -> list[str]:
        """Return the texts that the engine can store. Other texts equal none of its values."""
        return list(values)

    def values(self, values: Sequence[object], kind: str) -> str:
        """Add a list of values of one type as a parameter, and return its placeholder."""
        return f"{self.placeholder(list(values))}::{kind}[]"

    # Keys

    def keys_asked(self, plan: KeyScan) -> list[tuple[str, str, str]]:
        """Return the keys of metrics that a scan asks for: column, key, and the key's column."""
        metrics = dict.fromkeys(filter(is_metric, plan.columns))
        return [(column, key, place) for column in metrics for key, place in self.keys_of(column)]
