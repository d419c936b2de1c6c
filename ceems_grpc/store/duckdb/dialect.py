"""Plans as SQL for the tables of the mirror.

A plan that the columns cannot answer exactly raises `NotInMirror`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from ceems_grpc.schema import OBJECTS, is_metric
from ceems_grpc.store.columnar.json_paths import paths_of
from ceems_grpc.store.columnar.layout import GROUP, Layout, TableLayout, quote, text
from ceems_grpc.store.columnar.values import NUMBER_FORM
from ceems_grpc.store.duckdb.buckets import MOST_BRANCHES, MOST_COMPARED, corrected, guess
from ceems_grpc.store.duckdb.objects import NOT_IN_MIRROR, as_number, can_tell, is_one_of, lists_of_keys
from ceems_grpc.store.plan import (
    Aggregate,
    AllKeys,
    AllOf,
    FirstBy,
    Histogram,
    Key,
    KeyScan,
    Operand,
    RanWithin,
    Running,
    Scan,
    Spread,
    Table,
    ended_or_running,
)
from ceems_grpc.store.sql.base import SHARE, STEP
from ceems_grpc.store.sql.columns import ColumnCompiler
from ceems_grpc.store.sql.measures import LAST
from ceems_grpc.store.sql.values import numbers_of

_MOST_CONSTANTS = 8
_LEAST_INEXACT = 2**53  # from here on, several integers have the same float


class NotInMirror(Exception):  # noqa: N818 - no failure: the database file answers
    """The mirror cannot answer a plan exactly; the database file can."""


class DuckSql(ColumnCompiler):
    """Compiles a plan for the mirror."""

    division = "//"

    def __init__(self, table: Table, layout: Layout) -> None:
        super().__init__(table, layout.tables.get(table))
        self.layout: TableLayout = layout.tables[table]
        self._lists: dict[str, Sequence[float]] = {}
        self._used: dict[str, None] = {}  # the columns that were written, for inner selects

    def named(self, place: str) -> str:
        """Write a column of the copy."""
        name = super().named(place)
        self._used[name] = None
        return name

    def unsupported(self, what: str) -> NotInMirror:
        """Return the error that makes the database file answer."""
        return NotInMirror(what)

    def require_exact(self, name: str) -> None:
        """Raise `NotInMirror` if any row holds a text that the mirror does not keep exactly."""
        if name in self.layout.inexact:
            raise NotInMirror(f"column {name} is not exact")

    # Scans

    def scanned(self, plan: Scan) -> Iterator[tuple[str, str]]:
        """Yield the columns of a scan."""
        for column in plan.columns:
            if isinstance(column, AllKeys) and is_metric(column.column) and not column.numeric:
                raise NotInMirror(f"{column.column} is kept as numbers")
        return super().scanned(plan)

    def undecoded(self, place: str) -> str:
        """Raise `NotInMirror`, because the mirror does not keep the texts behind the codes."""
        raise NotInMirror(f"{place} holds codes")

    def unsorted(self, plan: Scan) -> tuple[str, list[tuple[str, str]]]:
        """Return a statement for the rows of a scan in any order, up to its limit, and how to sort them.

        The order has the form of Arrow's ``sort_indices``. Columns that serve only to sort come last.
        """
        columns = [column for _, column in self.scanned(plan)]
        keys: list[tuple[str, str]] = []
        for column, descending in [*self.sort_keys(plan.order), *self.ties()]:
            if column not in columns:
                columns.append(column)
            keys.append((f"c{columns.index(column)}", "descending" if descending else "ascending"))
        return f"SELECT {self.listed(columns)} FROM {self.rows(plan.where)}{self.limit(plan.limit)}", keys  # noqa: S608 - quoted names

    # Aggregations

    def takes_two_steps(self, plan: Aggregate) -> bool:
        """Return whether an inner aggregation makes the statement faster.

        Finding the first value among the groups is several times cheaper than among all rows. Without such a measure,
        an inner aggregation only adds planning time, which exceeds the run time of some of these statements.
        """
        return any(isinstance(measure, FirstBy) for measure in plan.measures)

    def by_group(self, plan: Aggregate) -> str:
        """Return the statement that computes the sums of an aggregation by group number; see `duckdb.groups`."""
        self.multiply_by_share(plan)
        list(self.answer_sort_keys(plan))  # raises `NotInMirror` for an order that groups do not have
        split = ended_or_running(plan.where)
        if split is None:
            return self._by_group(plan, lambda: self.shared_rows(plan))
        # The engine skips parts of the table for a condition on one range, but not for an OR of two ranges.
        window, others = split
        kinds = [replace(plan, where=AllOf((*others, kind))) for kind in (window, Running())]
        return " UNION ALL ".join(self._by_group(kind, partial(self.shared_rows, kind)) for kind in kinds)

    def _by_group(self, plan: Aggregate, rows: Callable[[], str]) -> str:
        summed = [measure for measure in plan.measures if not isinstance(measure, FirstBy)]
        shown = [self.named(GROUP), *(f"{self.measure(measure)} AS {quote(measure.name)}" for measure in summed)]
        return f"SELECT {', '.join(shown)} FROM {rows()} GROUP BY {quote(GROUP)}"  # noqa: S608 - quoted names

    def shared_rows(self, plan: Aggregate) -> str:
        """Write the rows of an aggregation; if it is prorated, with a column for the share of each row."""
        parts = plan.where.parts if isinstance(plan.where, AllOf) else (plan.where,)
        ran = next((part for part in parts if isinstance(part, RanWithin)), None)
        if plan.prorated is None or ran is None or ran.start > ran.end:
            return super().shared_rows(plan)
        # One range for each kind, as in `by_group`. The many sums are planned once, for all kinds together.
        others = AllOf(tuple(part for part in parts if part is not ran))
        self.inner_groups(plan)  # this records their columns; those of the measures are recorded already
        columns = ", ".join([*self._used, ""])  # with all columns, planning would take longer than summing
        kinds = []
        for kind in self.run_kinds:
            share = self.share_of_run(plan.prorated, kind.start, kind.end)
            rows = f"{self.rows(others)} AND {kind.within(ran)}"
            kinds.append(f"SELECT {columns}{share} AS {quote(SHARE)} FROM {rows}")  # noqa: S608 - quoted names
        return f"({' UNION ALL '.join(kinds)}) AS ran"

    # Spreads

    def parts(self, plan: Spread) -> str:
        """Write the units of a spread, with a row for each step in which they ran."""
        starts = self.values(plan.starts, self.integer_type)
        ends = self.values([*plan.starts[1:], plan.end], self.integer_type)
        return (
            f"steps AS (SELECT unnest(range(len(starts))) AS {quote(STEP)},"  # noqa: S608 - quoted names
            f' unnest(starts) AS "#a", unnest(ends) AS "#b" FROM (SELECT {starts} AS starts, {ends} AS ends)),'
            f' ran AS (SELECT *, {self.run_start()} AS "#s", {self.run_end()} AS "#e" FROM {self.rows(plan.where)}),'
            f' parts AS (SELECT ran.*, {quote(STEP)}, "#e" <= "#b" OR "#b" = {plan.end:d} AS {quote(LAST)},'
            f' (least("#e", "#b") - greatest("#s", "#a")) / CAST("#e" - "#s" AS DOUBLE) AS {quote(SHARE)}'
            ' FROM ran JOIN steps ON "#a" < "#e" AND "#b" > "#s")'
        )

    # Histograms

    def measured_rows(self, plan: Histogram, groups: Sequence[tuple[str, str]], *more: str) -> str:
        """Return the statement of the rows of a histogram, with the lists in which `buckets.corrected` looks."""
        lists = [self._list(numbers, name) for name, numbers in self._lists.items()]
        return super().measured_rows(plan, groups, *lists, *more)

    def bucket(self, value: str, bounds: Sequence[float]) -> str:
        """Write how many of the bounds are not above a column."""
        if not bounds:
            return "0"
        found = None if len(bounds) <= MOST_COMPARED else guess(value, bounds)
        if found is not None:
            name = quote(f"#list{len(self._lists)}")
            self._lists[name] = bounds
            return corrected(value, found, name)
        if len(bounds) > MOST_BRANCHES:
            raise NotInMirror("the bounds are too many and too uneven")
        return self._compared(value, bounds, 0, len(bounds))

    def _compared(self, value: str, bounds: Sequence[float], low: int, high: int) -> str:
        if low == high:
            return str(low)
        middle = (low + high) // 2
        is_below = f"{value} < {self.value(bounds[middle])}"
        below, above = self._compared(value, bounds, low, middle), self._compared(value, bounds, middle + 1, high)
        return f"(CASE WHEN {is_below} THEN {below} ELSE {above} END)"

    def _list(self, numbers: Sequence[float], name: str) -> str:
        kind = self.integer_type if all(isinstance(number, int) for number in numbers) else self.float_type
        return f"{self.values(numbers, kind)} AS {name}"

    # Keys and rows

    def keys(self, plan: KeyScan) -> tuple[str, list[tuple[str, str | None]]]:
        """Return a statement that returns one row, and the column and key to which each of its values refers.

        A value says whether the key exists. If the key is None, the value is the lists of keys that the texts hold.
        """
        found: list[tuple[str, str | None]] = []
        shown: list[str] = []
        for column in plan.columns:
            if column in OBJECTS:
                self.require(column)
                found.append((column, None))
                shown.append(lists_of_keys(column))
                continue
            if not is_metric(column):
                raise NotInMirror(f"{column} is not a JSON object")
            for key, place in self.keys_of(column):
                found.append((column, key))
                shown.append(f"count({self.named(place)}) > 0")
        rows = self.rows(plan.where, plan.recent)
        return f"SELECT {', '.join(shown) or 'count(*)'} FROM {rows}", found  # noqa: S608 - quoted names

    def recent_rows(self, count: int) -> str:
        """Write the most recently added rows. Only ids are sorted."""
        newest = f"SELECT id FROM {self.place} ORDER BY id DESC LIMIT {self.value(max(count, 0))}"  # noqa: S608 - a quoted name
        return f"(SELECT * FROM {self.place} WHERE id >= (SELECT min(id) FROM ({newest})))"  # noqa: S608 - a quoted name

    # Conditions

    def is_in(self, operand: Operand, values: tuple[str, ...]) -> str:
        """Write the condition that an operand is one of the values."""
        if isinstance(operand, Key) and any(abs(number) >= _LEAST_INEXACT for number in numbers_of(values)):
            raise NotInMirror("several integers have the same float")
        return super().is_in(operand, values)

    def is_listed(self, column: str, values: Sequence[str | float], kind: str) -> str:
        """Write the condition that a column is one of the values."""
        if not values:
            return self.never
        if len(values) <= _MOST_CONSTANTS:
            return f"{column} IN ({', '.join(map(self.value, values))})"
        return f"{column} IN (SELECT unnest({self.values(values, kind)}))"

    def number_is_in(self, place: str, numbers: list[float]) -> str:
        """Write the condition that a metric's value is one of the numbers.

        SQLite also compares texts, which have 15 digits. The mirror does not know whether only later digits differ.
        """
        number = self.named(place)
        exact = f"list_contains({self.values(numbers, self.float_type)}, {number})"
        listed = self.values(numbers, self.float_type)
        near = f"list_filter({listed}, lambda n: abs({number} - n) <= 4e-15 * abs(n))"
        return (
            f"(CASE WHEN {number} IS NULL OR isinf({number}) THEN FALSE WHEN {exact} THEN TRUE"
            f" WHEN len({near}) > 0 OR isnan({number})"
            f" THEN error({text(NOT_IN_MIRROR)} || left(CAST({number} AS VARCHAR), 0)) IS NULL ELSE FALSE END)"
        )

    def object_is_in(self, key: Key, values: tuple[str, ...]) -> str:
        """Write the condition that a value in a JSON object is one of the values."""
        self._require_object(key, values)
        return f"({is_one_of(key.column, key.name, values, numbers_of(values), self.parameters)})"

    def pair_is_listed(self, first: str, second: str, pairs: Sequence[tuple[str, str]]) -> str:
        """Write the condition that two columns are one of the pairs."""
        firsts, seconds = (self.values(values, self.text_type) for values in zip(*pairs, strict=True))
        return f"(({first}, {second}) IN (SELECT unnest({firsts}), unnest({seconds})))"

    def number_in_text(self, column: str) -> str:
        """Write the number that a text is."""
        return f"CASE WHEN regexp_full_match({column}, {text(NUMBER_FORM)}) THEN TRY_CAST({column} AS DOUBLE) END"

    def compare_object(self, key: Key, operator: str, value: float) -> str:
        """Write the condition that a value in a JSON object is a number in that relation to the value."""
        self._require_object(key)
        return f"({as_number(key.column, key.name)} {operator} {self.value(value)})"

    def starts_with(self, operand: Operand, prefix: str) -> str:
        """Write the condition that an operand starts with the prefix."""
        if "\0" in prefix:
            raise NotInMirror("SQLite ends patterns at a null character")
        return super().starts_with(operand, prefix)

    def _require_object(self, key: Key, values: tuple[str, ...] = ()) -> None:
        self.require(key.column)
        if key.column not in OBJECTS or len(paths_of(key.name)) > 1 or not can_tell(key.name, values):
            raise NotInMirror(f"{key} cannot be read exactly from its text")
