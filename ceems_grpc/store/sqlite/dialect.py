"""Plans as SQL for the CEEMS schema in SQLite.

Long lists travel as one JSON parameter, so that neither the number of parameters nor the length of a statement grows
with them.
"""

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from itertools import pairwise
from typing import Literal

import msgspec

from ceems_grpc.schema import DESCRIBED, INTEGERS, is_metric
from ceems_grpc.store.columnar.json_paths import AS_PATH, canonical, paths_of
from ceems_grpc.store.columnar.local_time import is_ambiguous_bound, local_text
from ceems_grpc.store.columnar.values import is_usable, usable
from ceems_grpc.store.plan import AllKeys, Distinct, Histogram, Key, KeyScan, Operand, Order, Scan, Spread, Table
from ceems_grpc.store.sql.base import SHARE, STEP, Compiler, SortKey
from ceems_grpc.store.sql.measures import LAST
from ceems_grpc.store.sql.values import booleans_of, integers_meant, numbers_of

MOMENT_FUNCTION = "ceems_moment"
"""(local text, ended_at_ts) -> seconds since 1970; registered on each connection."""
CANONICAL_FUNCTION = "ceems_canonical"
"""(JSON text) -> the text of `canonical`; registered on each connection."""

_NUMBER = "IN ('integer', 'real')"
_MOST_CONSTANTS = 8  # short lists let the planner see constants
# Steps from one cluster to the next along an index instead of reading all of it. SQLite sorts numbers before texts and
# BLOBs after them. Neither are names of clusters, see `columnar.values`.
_CLUSTERS = """
WITH RECURSIVE clusters(id) AS (
  SELECT min(cluster_id) FROM {table} WHERE cluster_id >= '' AND cluster_id < x''
  UNION ALL
  SELECT (SELECT min(cluster_id) FROM {table} WHERE cluster_id > clusters.id AND cluster_id < x'')
  FROM clusters WHERE clusters.id NOT NULL
)
SELECT NULL WHERE EXISTS (SELECT 1 FROM {table} WHERE cluster_id IS NULL OR cluster_id < '' OR cluster_id >= x'')
UNION ALL SELECT id FROM clusters WHERE id NOT NULL ORDER BY 1
"""


class SqliteSql(Compiler):
    """Compiles a plan for a database file. ``zone``: in which the site writes its local times."""

    always, never = "1", "0"  # TRUE would be a column if a table had one with this name
    integer_type, float_type = "INTEGER", "REAL"
    character, position = "char", "instr"

    def __init__(self, table: Table, zone: tzinfo) -> None:
        super().__init__(table)
        self.zone = zone

    # Names and values

    def quote(self, name: str) -> str:
        """Quote a name."""
        # Not in double quotes, which SQLite reads as a text if no such column exists.
        return "`" + name.replace("`", "``") + "`"

    def column(self, name: str) -> str:
        """Write a column with null for values that it may not hold. SQLite reports columns that do not exist."""
        return usable(name, self.quote(name))

    def operand(self, operand: Operand) -> str:
        """Write a column or the value of a key, null if the row has none."""
        if isinstance(operand, str):
            return self.column(operand)
        return _first([self._at(operand.column, path, "value") for path in paths_of(operand.name)])

    def _kind(self, key: Key) -> str:
        """Write the JSON type of the value of a key, null if there is none."""
        kinds = [f"nullif({self._at(key.column, path, 'type')}, 'null')" for path in paths_of(key.name)]
        return _first(kinds)

    def _at(self, column: str, path: tuple[str, ...], what: Literal["value", "type"]) -> str:
        source = self._json(column, "{", "")
        if all(map(AS_PATH.fullmatch, path)):
            function = "json_extract" if what == "value" else "json_type"
            written = "$" + "".join(f'."{part}"' for part in path)
            return f"{function}({source}, {self.value(written)})"
        if len(path) == 1:
            return f"(SELECT j.{what} FROM json_each({source}) AS j WHERE j.key = {self.value(path[0])})"  # noqa: S608 - quoted names
        inner = "json_each(CASE WHEN o.type = 'object' THEN o.value END)"
        keys = f"o.key = {self.value(path[0])} AND j.key = {self.value(path[1])}"
        return f"(SELECT j.{what} FROM json_each({source}) AS o, {inner} AS j WHERE {keys})"  # noqa: S608 - quoted names

    def number(self, key: Operand) -> str:
        """Write the value that counts in sums."""
        # Values such as "NaN" or "+Inf" are text in JSON and count as 0, as in the API. Absent values stay null.
        return f"CAST({self.operand(key)} AS REAL)"

    def moment(self) -> str:
        """Write when the row was updated. If a text can mean two moments, the unit's end decides."""
        ended = self.column("ended_at_ts") if self.table is Table.UNITS else "0"
        return f"{MOMENT_FUNCTION}(last_updated_at, {ended})"

    def day(self) -> str:
        """Write the start of the UTC day in which the row was updated."""
        return f"{MOMENT_FUNCTION}(last_updated_at, 0) / 86400 * 86400"

    def _json(self, column: str, opening: str, otherwise: str) -> str:
        # Text that is not a JSON object or array (null, an empty string, a torn write) has no keys or values.
        name = self.quote(column)
        is_json = f"{is_usable(column, name)} AND json_valid({name}) AND substr({name}, 1, 1) = '{opening}'"
        return f"CASE WHEN {is_json} THEN {name}{otherwise} END"

    def _list(self, values: object) -> str:
        return self.value(msgspec.json.encode(values).decode())

    # Plans

    def scanned(self, plan: Scan) -> Iterator[tuple[str, str]]:
        """Yield the columns of a scan. `AllKeys` columns are read as JSON text."""
        for column in plan.columns:
            name = column.column if isinstance(column, AllKeys) else column
            yield name, self.column(name)

    def sort_key(self, item: Order) -> Iterator[SortKey]:
        """Yield the sort keys for rows of the table."""
        if not item.numeric:
            yield self.operand(item.operand), item.descending
        elif isinstance(item.operand, str):
            yield self._number_in(item.operand), item.descending
        else:
            yield self.number(item.operand), item.descending

    unanswered_sort_key = sort_key  # groups have columns that are not in the answer

    def parts(self, plan: Spread) -> str:
        """Write the units of a spread, with a row for each step in which they ran."""
        steps = self._list(list(pairwise((*plan.starts, plan.end))))
        where = self.condition(plan.where)
        # LIMIT keeps the planner from evaluating the inner expressions again for every step.
        return (
            f"steps AS (SELECT key AS {self.quote(STEP)}, json_extract(value, '$[0]') AS `#a`,"  # noqa: S608 - quoted names
            f" json_extract(value, '$[1]') AS `#b` FROM json_each({steps}) LIMIT -1),"
            f" ran AS (SELECT *, {self.run_start()} AS `#s`, {self.run_end()} AS `#e`"
            f" FROM units WHERE {where} LIMIT -1),"
            f" parts AS (SELECT *, `#e` <= `#b` OR `#b` = {plan.end:d} AS {self.quote(LAST)},"
            f" (min(`#e`, `#b`) - max(`#s`, `#a`)) * 1.0 / (`#e` - `#s`) AS {self.quote(SHARE)}"
            " FROM ran JOIN steps ON `#s` < `#b` AND `#e` > `#a`)"
        )

    def histogram(self, plan: Histogram) -> str:
        """Return the statement of the rows of a histogram, whose buckets the reader finds."""
        return self.measured_rows(plan, [(self.as_text(name), name) for name in plan.by])

    def bucket(self, value: str, bounds: Sequence[float]) -> str:
        """Raise `ValueError`: see `histogram`."""
        raise self.unsupported("SQLite has no function that finds a bucket")

    def keys(self, plan: KeyScan) -> str:
        """Return a statement that returns (index of the column, key)."""
        parts = []
        for index, column in enumerate(plan.columns):
            rows = self.place if plan.recent is None else self.recent_rows(plan.recent)
            keys = f"{rows}, json_each({self._json(column, '{', '')}) AS j"
            where = f"j.key IS NOT NULL AND {self.condition(plan.where)}"
            parts.append(f"SELECT DISTINCT {index}, j.key FROM {keys} WHERE {where}")  # noqa: S608 - quoted names
        return " UNION ALL ".join(parts)

    def distinct(self, plan: Distinct) -> str:
        """Return the statement that looks up distinct values."""
        if plan == Distinct(plan.table, ("cluster_id",)):
            return _CLUSTERS.format(table=self.place)
        return super().distinct(plan)

    def recent_rows(self, count: int) -> str:
        """Write the most recently added rows."""
        return f"(SELECT * FROM {self.place} ORDER BY id DESC LIMIT {self.value(count)})"  # noqa: S608 - a quoted name

    # Conditions

    def is_in(self, operand: Operand, values: tuple[str, ...]) -> str:
        """Write the condition that an operand is one of the values."""
        if isinstance(operand, str):
            if operand not in DESCRIBED:
                return f"({self.column(operand)} IN ({self._values(values)}))"
            # A text that reads as a number means that number. The bare column comes first so that an index can be used.
            wanted = integers_meant(values) if operand in INTEGERS else values
            within = f"({self.quote(operand)} IN ({self._values(wanted)}) AND {self._is_usable(operand)})"
            return within if wanted else self.never
        if is_metric(operand.column):
            return self._plain_is_in(operand, values)
        kind = self._kind(operand)
        true, false = (self.always if found else self.never for found in booleans_of(values))
        nested = [text for text in map(canonical, values) if text is not None]
        # Parameters have no numbers, so the parts must be written in the order in which they appear.
        return (
            f"(CASE {kind} WHEN 'true' THEN {true} WHEN 'false' THEN {false}"
            f" WHEN 'array' THEN {self._member_is_in(operand, values)} OR {self._same(operand, nested)}"
            f" WHEN 'object' THEN {self._same(operand, nested)} ELSE {self._plain_is_in(operand, values)} END)"
        )

    def _plain_is_in(self, operand: Operand, values: tuple[str, ...]) -> str:
        within = f"CAST({self.operand(operand)} AS TEXT) IN ({self._values(values)})"
        numbers = numbers_of(values)
        if not numbers:
            return within
        # 50 also means 50.0
        number = f"typeof({self.operand(operand)}) {_NUMBER} AND {self.operand(operand)}"
        return f"({within} OR ({number} IN (SELECT value FROM json_each({self._list(numbers)}))))"  # noqa: S608 - quoted names

    def _member_is_in(self, key: Key, values: tuple[str, ...]) -> str:
        """Write the condition that a list, which may be a list of lists, has one of the values as a member."""
        true, false = (self.always if found else self.never for found in booleans_of(values))
        source = f"json_each({self.operand(key)})"
        texts = self._values(values)
        numbers = f"SELECT value FROM json_each({self._list(numbers_of(values))})"  # noqa: S608 - a parameter
        member = (
            f"CASE m.type WHEN 'text' THEN m.value IN ({texts}) WHEN 'true' THEN {true} WHEN 'false' THEN {false}"
            f" ELSE m.type {_NUMBER} AND m.value IN ({numbers}) END"
        )
        return f"EXISTS (SELECT 1 FROM {source} AS m WHERE {member})"  # noqa: S608 - quoted names

    def _same(self, key: Key, nested: list[str]) -> str:
        """Write the condition that an object or a list equals one of these canonical texts."""
        return f"{CANONICAL_FUNCTION}({self.operand(key)}) IN ({self._values(nested)})" if nested else self.never

    def pair_is_in(self, first: str, second: str, pairs: tuple[tuple[str, str], ...]) -> str:
        """Write the condition that two columns are one of the pairs."""
        values = f"json_each({self._list(pairs)})"
        chosen = f"SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM {values}"  # noqa: S608 - a parameter
        listed = f"({self.quote(first)}, {self.quote(second)}) IN ({chosen})"
        return f"({listed} AND {self._is_usable(first)} AND {self._is_usable(second)})"

    def compare(self, operand: Operand, operator: str, value: float) -> str:
        """Write the condition that an operand is a number in that relation to the value."""
        if isinstance(operand, str):
            if operand not in DESCRIBED:
                return f"({self._number_in(operand)} {operator} {self.value(value)})"
            if operand not in INTEGERS:
                return self.never  # texts are not numbers
            return f"({self.quote(operand)} {operator} {self.value(value)} AND {self._is_usable(operand)})"
        number = f"typeof({self.operand(operand)}) {_NUMBER}"
        return f"({number} AND {self.operand(operand)} {operator} {self.value(value)})"

    def _number_in(self, column: str) -> str:
        """Write the number in a column that the schema does not describe, with the digits that its text has."""
        name = self.quote(column)
        return f"CASE WHEN typeof({name}) {_NUMBER} AND abs({name}) < 9e999 THEN CAST(CAST({name} AS TEXT) AS REAL) END"

    def holds(self, column: str, values: tuple[str, ...]) -> str:
        """Write the condition that a JSON array holds one of the values."""
        may_hold = self._may_hold(column, values)
        array = self._json(column, "[", " ELSE '[]'")
        holds = f"EXISTS (SELECT 1 FROM json_each({array}) AS j WHERE j.value IN ({self._values(values)}))"  # noqa: S608 - quoted names
        return f"(CASE WHEN {may_hold} THEN {holds} ELSE 0 END)" if may_hold else holds

    def _may_hold(self, column: str, values: tuple[str, ...]) -> str:
        """Write a quick test that most arrays without the values fail; "" if there is no such test."""
        if not 0 < len(values) <= _MOST_CONSTANTS or any(value.startswith(("[", "{")) for value in values):
            return ""  # an array within the array is compared as its text
        # JSON without a backslash holds each text unchanged, in quotes.
        name = self.quote(column)
        found = " OR ".join(f"instr({name}, {self.value(text)})" for text in (f'"{value}"' for value in values))
        return f"instr({name}, '\\') OR {found}"

    def starts_with(self, operand: Operand, prefix: str) -> str:
        """Write the condition that an operand starts with the prefix."""
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return f"{self.operand(operand)} LIKE {self.value(escaped + '%')} ESCAPE '\\'"

    def updated_within(self, start: int, end: int) -> str:
        """Write the condition that the row was updated between two moments, both included."""

        def texts(first: int, last: int) -> str:
            first_text, last_text = local_text(first, self.zone), local_text(last, self.zone)
            return f"last_updated_at BETWEEN {self.value(first_text)} AND {self.value(last_text)}"

        if not (is_ambiguous_bound(start, self.zone) or is_ambiguous_bound(end, self.zone)):
            return texts(start, end)
        # Clocks go back near a bound: the texts narrow the search with a margin, then the function decides.
        near = texts(start - 86_400, end + 86_400)
        return f"({near} AND {self.moment()} BETWEEN {self.value(start)} AND {self.value(end)})"

    def _is_usable(self, column: str) -> str:
        return is_usable(column, self.quote(column))

    def _values(self, values: Sequence[str | int]) -> str:
        if len(values) <= _MOST_CONSTANTS:
            return ", ".join(map(self.value, values))
        return f"SELECT value FROM json_each({self._list(values)})"  # noqa: S608 - a parameter


def _first(values: Sequence[str]) -> str:
    """Write the first value that is not null."""
    return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
