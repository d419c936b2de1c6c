"""Plans as SQL for the CEEMS schema in SQLite.

Column names come from plans and are quoted; values are always parameters. Long lists travel as one JSON parameter,
so that neither the number of parameters nor the length of a statement grows with them.
"""

from datetime import tzinfo
from itertools import pairwise

import msgspec

from ceems_grpc.store.columnar.json_paths import AS_PATH
from ceems_grpc.store.columnar.local_time import is_ambiguous_bound, local_text
from ceems_grpc.store.plan import (
    OPERATORS,
    Aggregate,
    AllKeys,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Count,
    CountIf,
    Distinct,
    FirstBy,
    Holds,
    In,
    Instant,
    Key,
    KeyScan,
    Measure,
    Operand,
    Order,
    PairIn,
    Running,
    Scan,
    Spread,
    StartsWith,
    Sum,
    Table,
    WeightedSum,
    WeightOf,
    Within,
)
from ceems_grpc.store.sql.rules import numbers_of

MOMENT_FUNCTION = "ceems_moment"  # (local text, ended_at_ts) -> seconds; registered on each connection
# Steps from one cluster to the next along an index, instead of reading all of it.
_CLUSTERS = """
WITH RECURSIVE clusters(id) AS (
  SELECT min(cluster_id) FROM {table}
  UNION ALL
  SELECT (SELECT min(cluster_id) FROM {table} WHERE cluster_id > clusters.id) FROM clusters WHERE clusters.id NOT NULL
)
SELECT NULL WHERE EXISTS (SELECT 1 FROM {table} WHERE cluster_id IS NULL)
UNION ALL SELECT id FROM clusters WHERE id NOT NULL ORDER BY 1
"""


class SqliteSql:
    """One statement being written: its text and its parameters."""

    def __init__(self, table: Table, zone: tzinfo) -> None:
        self.table = table
        self.zone = zone
        self.parameters: list[object] = []

    def scan(self, plan: Scan) -> str:
        """Return the statement of a scan; `AllKeys` columns come as their JSON text."""
        columns = ", ".join(_quote(c.column if isinstance(c, AllKeys) else c) for c in plan.columns)
        return (
            f"SELECT {columns} FROM {_quote(plan.table)} WHERE {self.condition(plan.where)}"  # noqa: S608 - quoted names
            f"{self.order(plan.order)}{self.limit(plan.limit)}"
        )

    def aggregate(self, plan: Aggregate) -> str:
        """Return the statement of an aggregation."""
        day = f"{MOMENT_FUNCTION}(last_updated_at, 0) / 86400 * 86400"
        groups = [_quote(name) for name in plan.by] + ([day] if plan.day else [])
        shown = [_quote(name) for name in plan.by] + ([f"{day} AS day"] if plan.day else [])
        shown += [f"{self.measure(measure)} AS {_quote(measure.name)}" for measure in plan.measures]
        where = self.condition(plan.where)
        group = f" GROUP BY {', '.join(groups)}" if groups else ""
        names = {*plan.by, *(measure.name for measure in plan.measures), "day"}
        order = self.order(plan.order, names)
        return f"SELECT {', '.join(shown)} FROM {_quote(plan.table)} WHERE {where}{group}{order}"  # noqa: S608

    def spread(self, plan: Spread) -> str:
        """Return the statement of a spread."""
        steps = self._json(list(pairwise((*plan.starts, plan.end))))
        where = self.condition(plan.where)
        self.parameters += [plan.first, plan.last, plan.first, max(plan.first, plan.last - 1)]
        touched = f"{MOMENT_FUNCTION}(last_updated_at, ended_at_ts)"
        columns = ", ".join([*map(_quote, plan.by), "step"])
        measures = ", ".join(f"{self._share(measure)} AS {_quote(measure.name)}" for measure in plan.measures)
        return (
            "WITH steps AS (SELECT key AS step, json_extract(value, '$[0]') AS a, json_extract(value, '$[1]') AS b"  # noqa: S608
            f" FROM json_each({steps}) LIMIT -1),"
            # LIMIT keeps the planner from evaluating the inner expressions anew for every step.
            f" ran AS (SELECT *, {touched} AS touched FROM units WHERE {where} LIMIT -1),"
            " clipped AS (SELECT *,"
            " max(CASE WHEN started_at_ts > 0 THEN started_at_ts / 1000 ELSE touched END, ?) AS s,"
            " min(CASE WHEN ended_at_ts > 0 THEN ended_at_ts / 1000 ELSE touched END, ?) AS e,"
            " min(max(touched, ?), ?) AS last FROM ran LIMIT -1),"
            " parts AS (SELECT *, a <= last AND last < b AS here, nullif("
            "CASE WHEN e > s THEN max(0, min(e, b) - max(s, a)) * 1.0 / (e - s) ELSE 1.0 END, 0) AS share"
            " FROM clipped JOIN steps ON (e > s AND a < e AND b > s) OR (a <= last AND last < b))"
            f" SELECT {columns}, {measures} FROM parts GROUP BY {columns} ORDER BY {columns}"
        )

    def _share(self, measure: Measure) -> str:
        match measure:
            case Count():
                return "SUM(here)"
            case Sum(_, Key() as operand):
                return f"SUM({self._number(operand)} * share)"
            case WeightedSum(_, value, weight):
                return f"SUM({self._number(value)} * COALESCE({self._number(weight)}, 0.0) * share)"
            case WeightOf(_, value, weight):
                present = f"{self.operand(value)} IS NOT NULL"
                return f"SUM(CASE WHEN {present} THEN COALESCE({self._number(weight)}, 0.0) * share END)"
        raise ValueError(f"{measure} cannot be spread over steps")

    def keys(self, plan: KeyScan) -> str:
        """Return a statement that gives (index of the column, key)."""
        parts = []
        for index, column in enumerate(plan.columns):
            parts.append(
                f"SELECT DISTINCT {index}, j.key FROM {self._rows(plan.recent)}, json_each({_object(column)}) AS j"  # noqa: S608
                f" WHERE j.key IS NOT NULL AND {self.condition(plan.where)}"
            )
        return " UNION ALL ".join(parts)

    def distinct(self, plan: Distinct) -> str:
        """Return the statement of a distinct look-up."""
        if plan == Distinct(plan.table, ("cluster_id",)):
            return _CLUSTERS.format(table=_quote(plan.table))
        columns = ", ".join(_quote(column) for column in plan.columns)
        rows = self._rows(plan.recent)
        where = self.condition(plan.where)
        return (
            f"SELECT DISTINCT {columns} FROM {rows} WHERE {where}"  # noqa: S608
            f" ORDER BY {columns}{self.limit(plan.limit)}"
        )

    def condition(self, condition: Condition) -> str:
        """Write a condition."""
        match condition:
            case AllOf(parts):
                return "(" + " AND ".join(map(self.condition, parts)) + ")" if parts else "1"
            case AnyOf(parts):
                return "(" + " OR ".join(map(self.condition, parts)) + ")" if parts else "0"
            case In(operand, values, negate):
                return self._in(operand, values, negate)
            case PairIn(_, ()):
                return "0"
            case PairIn((first, second), pairs):
                chosen = f"SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each({self._json(pairs)})"  # noqa: E501, S608
                return f"({_quote(first)}, {_quote(second)}) IN ({chosen})"
            case Compare(operand, operator, value):
                text = self.operand(operand)
                self.parameters.append(value)
                number = f"typeof({text}) IN ('integer', 'real')"
                if isinstance(operand, Key):  # the operand's own parameter is written twice
                    self.parameters[-1:-1] = [self.parameters[-2]]
                return f"({number} AND {text} {OPERATORS[operator]} ?)"
            case Holds(column, values):
                wanted = self._values(values)
                return f"EXISTS (SELECT 1 FROM json_each({_array(column)}) AS j WHERE j.value IN ({wanted}))"  # noqa: S608
            case StartsWith(operand, prefix):
                text = self.operand(operand)
                escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
                self.parameters.append(escaped + "%")
                return f"{text} LIKE ? ESCAPE '\\'"
            case Within(instant, start, end):
                if instant is Instant.UPDATED:
                    return self._updated(start, end)
                self.parameters += condition.milliseconds
                return "ended_at_ts BETWEEN ? AND ?"
            case Running():
                return "ended_at_ts = 0"

    def operand(self, operand: Operand) -> str:
        """Write a column, or the value of a key (SQL NULL where the row has none)."""
        if isinstance(operand, str):
            return _quote(operand)
        if AS_PATH.fullmatch(operand.name) is None:
            self.parameters.append(operand.name)
            return f"(SELECT j.value FROM json_each({_object(operand.column)}) AS j WHERE j.key = ?)"  # noqa: S608
        self.parameters.append(f'$."{operand.name}"')
        return f"json_extract({_object(operand.column)}, ?)"

    def measure(self, measure: Measure) -> str:
        """Write a measure."""
        match measure:
            case Count():
                return "COUNT(*)"
            case CountIf(_, condition):
                return f"COUNT(CASE WHEN {self.condition(condition)} THEN 1 END)"
            case Sum(_, str(column)):
                return f"COALESCE(SUM({_quote(column)}), 0)"
            case Sum(_, operand):
                return f"SUM({self._number(operand)})"
            case WeightedSum(_, value, weight):
                return f"SUM({self._number(value)} * COALESCE({self._number(weight)}, 0.0))"
            case WeightOf(_, value, weight):
                present = f"{self.operand(value)} IS NOT NULL"
                return f"SUM(CASE WHEN {present} THEN COALESCE({self._number(weight)}, 0.0) END)"
            case FirstBy(_, column, by):
                joined = f"MIN({_quote(by)} || char(1) || COALESCE({_quote(column)}, ''))"
                return f"substr({joined}, instr({joined}, char(1)) + 1)"

    def order(self, order: tuple[Order, ...], names: set[str] | None = None) -> str:
        """Write ORDER BY; ``names`` are columns of the answer, which an order by `Key` may mean by its dotted name."""
        parts = []
        for item in order:
            dotted = str(item.operand)
            if names is not None and dotted in names:
                text = _quote(dotted)
            else:
                text = self._number(item.operand) if item.numeric else self.operand(item.operand)
            parts.append(f"{text} {'DESC' if item.descending else 'ASC'} NULLS LAST")
        return f" ORDER BY {', '.join(parts)}" if parts else ""

    def limit(self, limit: int | None) -> str:
        """Write LIMIT."""
        if limit is None:
            return ""
        self.parameters.append(limit)
        return " LIMIT ?"

    def _rows(self, recent: int | None) -> str:
        if recent is None:
            return _quote(self.table)
        self.parameters.append(recent)
        return f"(SELECT * FROM {_quote(self.table)} ORDER BY id DESC LIMIT ?)"  # noqa: S608 - a quoted name

    def _in(self, operand: Operand, values: tuple[str, ...], negate: bool) -> str:
        if not values:
            return "1" if negate else "0"
        if isinstance(operand, Key):
            within = f"CAST({self.operand(operand)} AS TEXT) IN ({self._values(values)})"
            numbers = numbers_of(values)
            if numbers:  # 50 is also 50.0
                number = f"typeof({self.operand(operand)}) IN ('integer', 'real') AND {self.operand(operand)}"
                within = f"({within} OR ({number} IN (SELECT value FROM json_each({self._json(numbers)}))))"  # noqa: S608
        else:
            within = f"{self.operand(operand)} IN ({self._values(values)})"
        return f"COALESCE(NOT {within}, 1)" if negate else within

    def _values(self, values: tuple[str, ...]) -> str:
        if len(values) <= 8:  # short lists let the planner see constants
            self.parameters += values
            return ", ".join("?" * len(values))
        return f"SELECT value FROM json_each({self._json(values)})"  # noqa: S608 - no value is in the text

    def _json(self, values: object) -> str:
        self.parameters.append(msgspec.json.encode(values).decode())
        return "?"

    def _number(self, operand: Operand) -> str:
        # Values such as "NaN" or "+Inf" are text in JSON and count as 0, as the API has it; absent ones stay NULL.
        return f"CAST({self.operand(operand)} AS REAL)"

    def _updated(self, start: int, end: int) -> str:
        self.parameters += [local_text(start, self.zone), local_text(end, self.zone)]
        if not (is_ambiguous_bound(start, self.zone) or is_ambiguous_bound(end, self.zone)):
            return "last_updated_at BETWEEN ? AND ?"
        # Clocks go back near a bound: text narrows the search down by a margin, the function decides.
        self.parameters[-2:] = [local_text(start - 86_400, self.zone), local_text(end + 86_400, self.zone), start, end]
        ended = "ended_at_ts" if self.table is Table.UNITS else "0"
        return f"(last_updated_at BETWEEN ? AND ? AND {MOMENT_FUNCTION}(last_updated_at, {ended}) BETWEEN ? AND ?)"


def _quote(name: str) -> str:
    # Not in double quotes: SQLite takes those for a text where no such column exists.
    return "`" + name.replace("`", "``") + "`"


def _object(column: str) -> str:
    # Text that is no JSON object (null, an empty string, something torn) has no keys.
    name = _quote(column)
    return f"CASE WHEN json_valid({name}) AND substr({name}, 1, 1) = '{{' THEN {name} END"


def _array(column: str) -> str:
    name = _quote(column)
    return f"CASE WHEN json_valid({name}) AND substr({name}, 1, 1) = '[' THEN {name} ELSE '[]' END"
