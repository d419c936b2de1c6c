"""Plans as SQL for the tables of the mirror; see `mirror_layout` for what they hold.

Names are quoted, values are parameters. What the columns cannot tell exactly raises `AskLiveError`.
"""

from collections.abc import Iterator

from ceems_grpc.schema import INTEGERS, LISTS, OBJECTS, is_metric
from ceems_grpc.store.columnar.assemble import is_of_integers
from ceems_grpc.store.columnar.json_rows import JsonScan
from ceems_grpc.store.columnar.layout import DAY, GROUP, MOMENT, ROW, Layout, TableLayout, list_column, quote, text
from ceems_grpc.store.duckdb.objects import ASK_LIVE, as_number, can_tell, is_one_of, lists_of_keys
from ceems_grpc.store.errors import lacking, no_table
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
    ended_or_running,
)
from ceems_grpc.store.sql.values import LOWER, UPPER, ascii_lower, integers_meant, json_key, numbers_of


class AskLiveError(Exception):
    """The live file must answer this plan."""


class DuckSql:
    """One statement being written: its text and its parameters."""

    def __init__(self, table: Table, layout: Layout) -> None:
        if table not in layout.tables:
            raise no_table(table)
        self.table = table
        self.layout: TableLayout = layout.tables[table]
        self.parameters: list[object] = []

    def scan(self, plan: Scan) -> tuple[str, list[str]]:
        """Return the statement of a scan and the names of its columns; `AllKeys` of metrics are taken apart."""
        columns, names = self._columns_of(plan)
        where = self.condition(plan.where)
        order = self._order((*plan.order, Order(ROW)))  # SQLite reads rows in the order of their ids
        rows = f"{quote(self.table)} WHERE {where}{order}{self._limit(plan.limit)}"
        return f"SELECT {_listed(columns)} FROM {rows}", names  # noqa: S608

    def lying(self, plan: Scan) -> tuple[str, list[tuple[str, str]]]:
        """Return the statement of a scan whose rows come as they lie, up to its limit, and how to sort them.

        What rows are sorted by is given as Arrow's ``sort_indices`` takes it; columns just for that come last.
        """
        columns, _ = self._columns_of(plan)
        keys: list[tuple[str, str]] = []
        for column, descending in self._sorted_by((*plan.order, Order(ROW))):
            if column not in columns:
                columns.append(column)
            keys.append((f"c{columns.index(column)}", "descending" if descending else "ascending"))
        rows = f"{quote(self.table)} WHERE {self.condition(plan.where)}"
        return f"SELECT {_listed(columns)} FROM {rows}{self._limit(plan.limit)}", keys  # noqa: S608

    def _columns_of(self, plan: Scan) -> tuple[list[str], list[str]]:
        columns: list[str] = []
        names: list[str] = []
        for column in plan.columns:
            if isinstance(column, AllKeys) and is_metric(column.column):
                if not column.numeric:
                    raise AskLiveError
                for key, place in self._keys_of(column.column):
                    columns.append(self._shown(place))
                    names.append(f"{column.column}.{key}")
            elif isinstance(column, AllKeys):
                columns.append(self._plain(column.column))
                names.append(column.column)
            else:
                columns.append(self._text_of(column) if is_metric(column) else self._plain(column))
                names.append(column)
        return columns, names

    def json_rows(self, plan: JsonScan) -> tuple[str, list[str]]:
        """Return the statement that finds ids and shapes of rows (see `json_rows`), and the columns with a bit.

        A row that cannot be joined from its texts has the shape -1. Texts that differ from row to row are looked at
        only where some is empty: it takes long to read them.
        """
        bits: list[tuple[str, str]] = []
        odd: list[str] = []
        for name in plan.names:
            if name in plan.metrics:
                places = [quote(place) for _, place in self._keys_of(name)]
                bits.append((name, " OR ".join(f"{place} IS NOT NULL" for place in places) or "FALSE"))
                continue
            column = self._plain(name)
            if name in plan.objects:
                there = f"coalesce({column} NOT IN ('', '{{}}', '[]', 'null'), FALSE)"
                bits.append((name, there))
                if name in self.layout.unfit:
                    odd.append(f"({there} AND (contains({column}, chr(0)) OR NOT json_valid({column})))")
            elif name in INTEGERS:
                bits.append((name, f"coalesce({column} <> 0, FALSE)"))
            elif name in self.layout.gappy:
                bits.append((name, f"coalesce({column} <> '', FALSE)"))
        shape = " + ".join(f"(({there})::BIGINT << {bit})" for bit, (_, there) in enumerate(bits)) or "0::BIGINT"
        if odd:  # what is no JSON could be taken for a part of the row
            shape = f"CASE WHEN {' OR '.join(odd)} THEN -1 ELSE {shape} END"
        where = self.condition(plan.scan.where)
        order = self._order((*plan.scan.order, Order(ROW)))
        limit = self._limit(plan.scan.limit)
        rows = f"SELECT {quote(ROW)}, {shape} AS shape FROM {quote(self.table)} WHERE {where}{order}{limit}"  # noqa: S608
        return rows, [name for name, _ in bits]

    def aggregate(self, plan: Aggregate) -> str:
        """Return the statement of an aggregation.

        Values that are only looked for (`FirstBy`) become groups of an inner aggregation: there are
        few of them, and looking for them among its rows is several times cheaper than among all rows. Where nothing is
        looked for, there is no inner one: planning takes longer than some of these statements.
        """
        groups = list(plan.by)
        if plan.day:
            self._needs_moments()
            groups.append(DAY)
        inner = list(groups)
        is_nested = any(isinstance(measure, FirstBy) for measure in plan.measures)
        shown = [f"CAST({self._plain(name)} AS VARCHAR) AS {quote(name)}" for name in plan.by]
        shown += [f"{quote(DAY)} AS day"] if plan.day else []
        parts: list[str] = []
        for index, measure in enumerate(plan.measures):
            match measure:
                case FirstBy(_, column, by):
                    inner += [column, by]
                    joined = f"min({self._plain(by)} || chr(1) || coalesce({self._plain(column)}, ''))"
                    outer = f"substr({joined}, instr({joined}, chr(1)) + 1)"
                case _:
                    outer = part = self._sum(measure)
                    if is_nested:
                        name = quote(f"#part{index}")
                        parts.append(f"{part} AS {name}")
                        outer = f"sum({name})"
                    outer = _as_integer(measure, outer)
            shown.append(f"{outer} AS {quote(measure.name)}")
        if not shown:
            raise AskLiveError
        columns = [name if name == DAY else self._checked(name) for name in dict.fromkeys(inner)]
        selected = ", ".join([*map(quote, columns), *parts])
        where = self.condition(plan.where)
        rows = f"{quote(self.table)} WHERE {where}"
        if is_nested:
            rows = f"(SELECT {selected} FROM {rows}{_group_by(columns)})"  # noqa: S608
        statement = f"SELECT {', '.join(shown)} FROM {rows}{_group_by(groups)}"  # noqa: S608
        self._check_order(plan)
        order = [f"{quote(str(each.operand))} {'DESC' if each.descending else 'ASC'} NULLS LAST" for each in plan.order]
        return f"SELECT * FROM ({statement}) ORDER BY {', '.join(order)}" if order else statement  # noqa: S608

    def by_group(self, plan: Aggregate) -> str:
        """Return the statement of what an aggregation sums, by the groups' numbers; see `mirror_groups`."""
        self._check_order(plan)
        return " UNION ALL ".join(self._sums_by_group(plan, where) for where in _apart(plan.where))

    def _sums_by_group(self, plan: Aggregate, where: Condition) -> str:
        summed = [measure for measure in plan.measures if not isinstance(measure, FirstBy)]
        # A group has rows, so counts need nothing around them: every word here takes longer to plan than to work out.
        written = [(self._sum(measure), measure) for measure in summed]
        sums = [
            f"{part if isinstance(measure, Count | CountIf) else _as_integer(measure, part)} AS {quote(measure.name)}"
            for part, measure in written
        ]
        shown = [quote(GROUP), *sums]
        rows = f"{quote(self.table)} WHERE {self.condition(where)}"
        return f"SELECT {', '.join(shown)} FROM {rows} GROUP BY {quote(GROUP)}"  # noqa: S608 - quoted names

    def spread(self, plan: Spread) -> str:
        """Return the statement of a spread; see `SqliteSql.spread` for what it must be equal to."""
        self._needs_moments()
        steps = [list(plan.starts), [*plan.starts[1:], plan.end]]
        self.parameters += steps
        groups = [self._plain(name) for name in plan.by]
        columns = ", ".join([*groups, "step"])
        shown = [f"CAST({group} AS VARCHAR) AS {group}" for group in groups]
        shown += ["step", *(f"{self._share(measure)} AS {quote(measure.name)}" for measure in plan.measures)]
        started, ended, touched = self._plain("started_at_ts"), self._plain("ended_at_ts"), quote(MOMENT)
        where = self.condition(plan.where)

        def bounded(value: str, function: str, bound: int) -> str:  # null stays null
            return f"CASE WHEN {value} IS NOT NULL THEN {function}({value}, {bound:d}) END"

        begin = f"(CASE WHEN {started} > 0 THEN {started} // 1000 ELSE {touched} END)"
        finish = f"(CASE WHEN {ended} > 0 THEN {ended} // 1000 ELSE {touched} END)"
        latest = bounded(f"greatest({touched}, {plan.first:d})", "least", max(plan.first, plan.last - 1))
        return (
            "WITH steps AS (SELECT unnest(range(len(starts))) AS step, unnest(starts) AS a, unnest(ends) AS b"  # noqa: S608
            " FROM (SELECT ?::BIGINT[] AS starts, ?::BIGINT[] AS ends)),"
            f" ran AS (SELECT *, {bounded(begin, 'greatest', plan.first)} AS s,"
            f" {bounded(finish, 'least', plan.last)} AS e,"
            f" CASE WHEN {touched} IS NOT NULL THEN {latest} END AS latest"
            f" FROM {quote(self.table)} WHERE {where}),"
            # Two joins by ranges: what a unit shared, and where it counts.
            " parts AS (SELECT ran.*, step, FALSE AS here,"
            " nullif((least(e, b) - greatest(s, a)) / CAST(e - s AS DOUBLE), 0) AS share"
            " FROM ran JOIN steps ON a < e AND b > s WHERE e > s"
            " UNION ALL SELECT ran.*, step, TRUE AS here, CASE WHEN e > s THEN NULL ELSE 1.0 END AS share"
            " FROM ran JOIN steps ON a <= latest AND latest < b)"
            f" SELECT {', '.join(shown)} FROM parts GROUP BY {columns}"
            f" ORDER BY {', '.join(f'{column} NULLS FIRST' for column in [*groups, 'step'])}"
        )

    def _share(self, measure: Measure) -> str:
        match measure:
            case Count():
                return "CAST(sum(here::INTEGER) AS BIGINT)"
            case Sum(_, Key() as operand):
                return f"sum({self._number(operand)} * share)"
            case WeightedSum(_, value, weight):
                return f"sum({self._number(value)} * coalesce({self._number(weight)}, 0) * share)"
            case WeightOf(_, value, weight):
                weighed = f"coalesce({self._number(weight)}, 0) * share"
                return f"sum(CASE WHEN {self._number(value)} IS NOT NULL THEN {weighed} END)"
        raise AskLiveError

    def keys(self, plan: KeyScan) -> tuple[str, list[tuple[str, str | None]]]:
        """Return a statement with one row of truths, and the column and key that each is about.

        Where there is no key, the row has the lists of keys of the column's texts instead.
        """
        found: list[tuple[str, str | None]] = []
        shown: list[str] = []
        for column in plan.columns:
            if column in OBJECTS:
                self._exists(column)
                found.append((column, None))
                shown.append(lists_of_keys(column))
                continue
            if not is_metric(column):
                raise AskLiveError
            for key, place in self._keys_of(column):
                found.append((column, key))
                shown.append(f"count({quote(place)}) > 0")
        rows = self._rows(plan.recent)
        return f"SELECT {', '.join(shown) or 'count(*)'} FROM {rows} WHERE {self.condition(plan.where)}", found  # noqa: S608

    def distinct(self, plan: Distinct) -> str:
        """Return the statement of a distinct look-up."""
        if any(is_metric(column) for column in plan.columns):
            raise AskLiveError
        columns = ", ".join(map(self._plain, plan.columns))
        rows = self._rows(plan.recent)
        where = self.condition(plan.where)
        # SQLite has nulls first unless told otherwise.
        order = ", ".join(f"{self._plain(column)} NULLS FIRST" for column in plan.columns)
        return f"SELECT DISTINCT {columns} FROM {rows} WHERE {where} ORDER BY {order}{self._limit(plan.limit)}"  # noqa: S608

    def condition(self, condition: Condition) -> str:
        """Write a condition."""
        match condition:
            case AllOf(parts):
                written = [each for each in map(self.condition, parts) if each != "TRUE"]
                return "(" + " AND ".join(written) + ")" if written else "TRUE"
            case AnyOf(parts):
                return "(" + " OR ".join(map(self.condition, parts)) + ")" if parts else "FALSE"
            case In(operand, values, negate):
                return self._in(operand, values, negate)
            case PairIn((first, second), pairs):
                if not pairs:
                    return "FALSE"
                left, right = self._plain(first), self._plain(second)
                if {first, second} & INTEGERS:
                    raise AskLiveError
                self.parameters += [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
                return f"(({left}, {right}) IN (SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[])))"
            case Compare(operand, operator, value):
                return self._compare(operand, operator, value)
            case Holds(column, values):
                self._plain(column)
                if column not in LISTS.get(self.table, ()):
                    raise AskLiveError
                self.parameters.append(list(values))
                return f"list_has_any({quote(list_column(column))}, ?::VARCHAR[])"
            case StartsWith(operand, prefix):
                if not isinstance(operand, str) or operand in INTEGERS or is_metric(operand) or "\0" in prefix:
                    raise AskLiveError
                self.parameters.append(ascii_lower(prefix))
                # Only ASCII letters have a case in SQLite's LIKE.
                return f"starts_with(translate({self._plain(operand)}, '{UPPER}', '{LOWER}'), ?)"
            case Within(Instant.UPDATED, start, end):
                self._needs_moments()
                self.parameters += [start, end]
                return f"{quote(MOMENT)} BETWEEN ? AND ?"
            case Within():
                self.parameters += condition.milliseconds
                return f"{self._plain('ended_at_ts')} BETWEEN ? AND ?"
            case Running():
                return f"{self._plain('ended_at_ts')} = 0"

    # Parts of conditions

    def _in(self, operand: Operand, values: tuple[str, ...], negate: bool) -> str:
        if not values:
            return "TRUE" if negate else "FALSE"
        if isinstance(operand, Key):
            within = self._in_key(operand, values)
            return f"coalesce(NOT {within}, TRUE)" if negate else within
        if is_metric(operand):
            raise AskLiveError
        column = self._plain(operand)
        wanted: list[object] = list(values)
        kind = "VARCHAR"
        if operand in INTEGERS:  # a text that reads as a number is that number
            wanted = list(integers_meant(values))
            kind = "BIGINT"
            if not wanted:
                return "TRUE" if negate else "FALSE"
        if len(wanted) <= 8:
            self.parameters += wanted
            chosen = ", ".join("?" * len(wanted))
        else:
            self.parameters.append(wanted)
            chosen = f"SELECT unnest(?::{kind}[])"
        return f"coalesce({column} NOT IN ({chosen}), TRUE)" if negate else f"{column} IN ({chosen})"

    def _in_key(self, key: Key, values: tuple[str, ...]) -> str:
        numbers = numbers_of(values)
        if any(abs(number) >= 2**53 for number in numbers):
            raise AskLiveError  # integers beyond have no floats of their own
        if key.column in OBJECTS:
            self._exists(key.column)
            if not can_tell(key.name, values):
                raise AskLiveError
            return f"({is_one_of(key.column, key.name, values, numbers, self.parameters)})"
        place = self._place(key)
        if place is None:
            return "FALSE"
        # SQLite also compares texts, with 15 digits: what differs only behind them is not known here.
        number, near = quote(place), f"list_filter(?::DOUBLE[], lambda n: abs({quote(place)} - n) <= 4e-15 * abs(n))"
        self.parameters += [numbers, numbers]
        unknown = f"len({near}) > 0 OR isnan({number})"
        return (
            f"(CASE WHEN {number} IS NULL OR isinf({number}) THEN FALSE"
            f" WHEN list_contains(?::DOUBLE[], {number}) THEN TRUE"
            f" WHEN {unknown} THEN error({text(ASK_LIVE)} || left(CAST({number} AS VARCHAR), 0)) IS NULL"
            " ELSE FALSE END)"
        )

    def _compare(self, operand: Operand, operator: str, value: float) -> str:
        if isinstance(operand, str):
            column = self._plain(operand)
            if operand not in INTEGERS:
                return "FALSE"  # texts are no numbers
            self.parameters.append(value)
            return f"({column} {OPERATORS[operator]} ?)"
        if operand.column in OBJECTS:
            self._exists(operand.column)
            if not can_tell(operand.name):
                raise AskLiveError
            number = as_number(operand.column, operand.name)
            self.parameters.append(value)
            return f"({number} {OPERATORS[operator]} ?)"
        place = self._place(operand)
        if place is None:
            return "FALSE"
        self.parameters.append(value)
        number = f"{quote(place)} {OPERATORS[operator]} ?"
        return f"(isfinite({quote(place)}) AND {number})" if place in self.layout.coded else f"({number})"

    def _check_order(self, plan: Aggregate) -> None:
        names = {*plan.by, *(measure.name for measure in plan.measures), "day"}
        if any(str(item.operand) not in names for item in plan.order):
            raise AskLiveError

    def _sum(self, measure: Measure) -> str:
        match measure:
            case Count():
                return "count(*)"
            case CountIf(_, condition):
                return f"count(*) FILTER (WHERE {self.condition(condition)})"
            case Sum(_, str(column)):
                if column not in INTEGERS:
                    raise AskLiveError
                return f"sum({self._plain(column)})"
            case Sum(_, Key() as operand):
                return f"sum({self._number(operand)})"
            case WeightedSum(_, value, weight):
                return f"sum({self._number(value)} * coalesce({self._number(weight)}, 0))"
            case WeightOf(_, value, weight):
                return f"sum(CASE WHEN {self._number(value)} IS NOT NULL THEN coalesce({self._number(weight)}, 0) END)"
        raise AskLiveError

    def _order(self, order: tuple[Order, ...]) -> str:
        parts = [f"{column} {'DESC' if down else 'ASC'} NULLS LAST" for column, down in self._sorted_by(order)]
        return f" ORDER BY {', '.join(parts)}"

    def _sorted_by(self, order: tuple[Order, ...]) -> Iterator[tuple[str, bool]]:
        """Yield what to sort by, and whether downwards; nulls come last in any case."""
        for item in order:
            if isinstance(item.operand, Key):
                place = self._place(item.operand)
                if place is None:
                    continue  # no row has it: no order
                if place in self.layout.coded and not item.numeric:
                    raise AskLiveError
                column = self._shown(place)
            elif item.operand == ROW:
                column = quote(ROW)
            elif is_metric(item.operand):
                raise AskLiveError
            else:
                column = self._plain(item.operand)
            yield column, item.descending

    def _limit(self, limit: int | None) -> str:
        if limit is None:
            return ""
        if limit < 0:
            raise AskLiveError
        self.parameters.append(limit)
        return " LIMIT ?"

    def _rows(self, recent: int | None) -> str:
        name = quote(self.table)
        if recent is None:
            return name
        self.parameters.append(max(recent, 0))
        # Only the ids are sorted.
        newest = f"SELECT id FROM {name} ORDER BY id DESC LIMIT ?"  # noqa: S608
        return f"(SELECT * FROM {name} WHERE id >= (SELECT min(id) FROM ({newest})))"  # noqa: S608

    # Columns

    def _plain(self, column: str) -> str:
        return quote(self._checked(column))

    def _checked(self, column: str) -> str:
        self._exists(column)
        if is_metric(column):
            raise AskLiveError
        return column

    def _exists(self, column: str) -> None:
        if column not in self.layout.columns:
            raise lacking(f"column {column}")

    def _needs_moments(self) -> None:
        self._exists("last_updated_at")
        if "last_updated_at" in self.layout.inexact:
            raise AskLiveError

    def _keys_of(self, column: str) -> list[tuple[str, str]]:
        self._exists(column)
        if column in self.layout.inexact:
            raise AskLiveError
        return sorted(self.layout.keys.get(column, {}).items())

    def _place(self, key: Key) -> str | None:
        self._exists(key.column)
        if not is_metric(key.column) or key.column in self.layout.inexact:
            raise AskLiveError
        return self.layout.column_of(key)

    def _shown(self, place: str) -> str:
        name = quote(place)
        if place not in self.layout.coded:
            return name
        return f"CASE WHEN isnan({name}) THEN 0 WHEN isfinite({name}) THEN {name} END"

    def _number(self, key: Key) -> str:
        place = self._place(key)
        return "NULL::DOUBLE" if place is None else self._shown(place)

    def _text_of(self, column: str) -> str:
        """Write a metric as JSON text again: the same keys with the same numbers, in order of the keys."""
        parts = []
        for key, place in self._keys_of(column):
            name = quote(place)
            value = f"CAST({name} AS VARCHAR)"
            if place in self.layout.coded:
                value = f"CASE WHEN isnan({name}) THEN '\"NaN\"' WHEN isfinite({name}) THEN {value} ELSE 'null' END"
            parts.append(f"CASE WHEN {name} IS NOT NULL THEN {text(json_key(key))} || {value} END")
        return "'{' || concat_ws(',', " + ", ".join(parts) + ") || '}'" if parts else "'{}'"


def _apart(where: Condition) -> list[Condition]:
    """Return conditions that a row fulfils one of at most, for those that fulfil the condition.

    The engine skips parts of the table where it looks for one range, but not for one of two.
    """
    split = ended_or_running(where)
    if split is not None:
        window, others = split
        return [AllOf((*others, window)), AllOf((*others, Running()))]
    return [where]


def _as_integer(measure: Measure, written: str) -> str:
    if isinstance(measure, Sum | WeightedSum | WeightOf) and not is_of_integers(measure):
        return written
    return f"CAST(coalesce({written}, 0) AS BIGINT)"


def _listed(columns: list[str]) -> str:
    return ", ".join(f"{column} AS c{index}" for index, column in enumerate(columns)) or "1 AS nothing"


def _group_by(columns: list[str]) -> str:
    return f" GROUP BY {', '.join(map(quote, columns))}" if columns else ""
