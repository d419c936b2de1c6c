"""Plans as SQL for the tables in PostgreSQL; see `postgres_schema` for what they hold.

Names are quoted, values are parameters. Sums are made in two steps: by ``part`` and group first, then over the parts.
Partitions on other servers do the first step themselves, so it uses only what postgres_fdw can send: no COALESCE,
GREATEST or LEAST, no casts by text, no collations but those of the columns.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import msgspec

from ceems_grpc.schema import INTEGERS, LISTS, OBJECTS, is_metric
from ceems_grpc.store.columnar.assemble import is_of_integers
from ceems_grpc.store.columnar.layout import DAY, MOMENT, ROW, list_column, quote, text
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
)
from ceems_grpc.store.postgres.schema import LARGE_TABLES, PART, SITE, TableCatalog, json_column
from ceems_grpc.store.sql.values import LOWER, UPPER, ascii_lower, integers_meant, json_key, numbers_of

_NAN, _INFINITY = "'NaN'::float8", "'Infinity'::float8"
_LEADING_NUMBER = r"^[ \t\n\v\f\r]*([-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)"
CLUSTERS = "clusters"
"""The feeder's own column of admin_users: a JSON list of the clusters that a row's names administer."""
_LEAST_INTEGER, _GREATEST_INTEGER = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the database holds, at one moment.

    ``rollups``: whether those of units may be used. ``shards``: the partitions of units that lie on other servers.
    """

    schema: str
    tables: Mapping[str, TableCatalog]
    sites: tuple[str, ...]
    rollups: bool = False
    shards: tuple[str, ...] = ()

    def place(self, name: str) -> str:
        """Write the name of a table."""
        return f"{quote(self.schema)}.{quote(name)}"


class PostgresSql:
    """One statement being written: its text and its parameters."""

    def __init__(self, table: Table, catalog: Catalog) -> None:
        if table not in catalog.tables:
            raise no_table(table)
        self.table = table
        self.catalog = catalog
        self.layout = catalog.tables[table]
        self.parameters: list[object] = []
        self._used: dict[str, None] = {}  # the columns that were written, for inner selects

    @property
    def place(self) -> str:
        """The table, as statements name it."""
        return self.catalog.place(self.table)

    # Plans

    def scan(self, plan: Scan) -> tuple[str, list[str]]:
        """Return the statement of a scan and the names of its columns; `AllKeys` of metrics are taken apart."""
        columns: list[str] = []
        names: list[str] = []
        for column in plan.columns:
            if isinstance(column, AllKeys) and is_metric(column.column) and column.numeric:
                for key, place in self._keys_of(column.column):
                    columns.append(self.shown(place))
                    names.append(f"{column.column}.{key}")
            else:
                name = column.column if isinstance(column, AllKeys) else column
                columns.append(self._as_text(name))
                names.append(name)
        shown = ", ".join(f"{column} AS c{index}" for index, column in enumerate(columns)) or "1 AS nothing"
        where = self.condition(plan.where)
        # SQLite reads rows in the order of their ids.
        order = ", ".join([*(part for item in plan.order for part in self._order(item)), SITE, quote(ROW)])
        return f"SELECT {shown} FROM {self.place} WHERE {where} ORDER BY {order}{self._limit(plan.limit)}", names  # noqa: S608

    def aggregate(self, plan: Aggregate) -> str:
        """Return the statement of an aggregation; see `two_steps`."""
        groups = [*plan.by, *([DAY] if plan.day else [])]
        inner = self.inner_columns(plan)
        parts = [f"{self.sum_of(measure)} AS {quote(name)}" for name, measure in summed(plan.measures)]
        if plan.day:
            self._exists("last_updated_at")
        where = self.condition(plan.where)
        selected = ", ".join([*map(quote, inner), *parts]) or "1 AS nothing"
        by = [*([PART] if self.table in LARGE_TABLES else []), *inner]
        rows = f"SELECT {selected} FROM {self.place} WHERE {where}{group_by(by)}"  # noqa: S608 - quoted names
        return self.two_steps(plan, groups, rows)

    def inner_columns(self, plan: Aggregate) -> list[str]:
        """Return by what the first step groups: also by the values that are only looked for, which are few."""
        inner = [*plan.by, *([DAY] if plan.day else [])]
        for measure in plan.measures:
            if isinstance(measure, FirstBy):
                inner += [measure.column, measure.by]
        for name in inner:
            if name != DAY:
                self._plain(name)
        return list(dict.fromkeys(inner))

    def two_steps(self, plan: Aggregate, groups: list[str], rows: str) -> str:
        """Return the statement that adds up ``rows``: sums by groups, of which a group may have several."""
        shown = [f"{self._as_group(name)} AS {quote(name)}" for name in plan.by]
        shown += [f"{quote(DAY)} AS day"] if plan.day else []
        for index, measure in enumerate(plan.measures):
            part = quote(part_name(index))
            match measure:
                case FirstBy(_, column, by):
                    joined = f"min({self._as_group(by)} || chr(1) || coalesce({self._as_group(column)}, ''))"
                    value = f"substr({joined}, strpos({joined}, chr(1)) + 1)"
                case Sum() | WeightedSum() | WeightOf() if not is_of_integers(measure):
                    value = f"sum({part})"
                case _:
                    value = f"coalesce(sum({part}), 0)::bigint"
            shown.append(f"{value} AS {quote(measure.name)}")
        if not shown:
            raise ValueError("an aggregation needs groups or measures")
        statement = f"SELECT {', '.join(shown)} FROM ({rows}) AS rows{group_by(groups)}"  # noqa: S608 - quoted names
        names = {*plan.by, *(measure.name for measure in plan.measures), "day"}
        order = []
        for item in plan.order:
            if str(item.operand) not in names:
                raise ValueError(f"an aggregation cannot be ordered by {item.operand}, which is not in its answer")
            order.append(f"{quote(str(item.operand))} {'DESC' if item.descending else 'ASC'} NULLS LAST")
        return f"SELECT * FROM ({statement}) AS answer ORDER BY {', '.join(order)}" if order else statement  # noqa: S608

    def spread(self, plan: Spread) -> str:
        """Return the statement of a spread; see `SqliteSql.spread` for what it must be equal to.

        The steps that a unit touches are found by binary search in the bounds of the steps.
        """
        self._exists("last_updated_at")
        bounds = self._parameter([*plan.starts, plan.end], "bigint[]")
        groups = [quote(name) for name in plan.by if self._plain(name)]
        measures = ", ".join(f"{self._share(measure)} AS {quote(measure.name)}" for measure in plan.measures)
        where = self.condition(plan.where)
        needed = dict.fromkeys([*groups, *self._places_of(plan.measures)])
        started, ended, touched = self._plain("started_at_ts"), self._plain("ended_at_ts"), quote(MOMENT)

        def bounded(value: str, function: str, bound: int) -> str:  # null stays null
            return f"CASE WHEN {value} IS NOT NULL THEN {function}({value}, {bound:d}) END"

        begin = f"(CASE WHEN {started} > 0 THEN {started} / 1000 ELSE {touched} END)"
        finish = f"(CASE WHEN {ended} > 0 THEN {ended} / 1000 ELSE {touched} END)"
        latest = f"least(greatest({touched}, {plan.first:d}), {max(plan.first, plan.last - 1):d})"
        steps = len(plan.starts)
        columns = ", ".join([*groups, "step"])
        return (
            f"WITH read AS MATERIALIZED (SELECT {', '.join([*needed, ''])}"  # noqa: S608 - quoted names
            f" {bounded(begin, 'greatest', plan.first)} AS s, {bounded(finish, 'least', plan.last)} AS e,"
            f" CASE WHEN {touched} IS NOT NULL THEN {latest} END AS latest FROM {self.place} WHERE {where}),"
            f" bounds AS (SELECT {bounds} AS a),"
            # What a unit shared, and where it counts.
            f" parts AS (SELECT read.*, step, false AS here,"
            " nullif((least(e, a[step + 2]) - greatest(s, a[step + 1])) / (e - s)::float8, 0) AS share"
            " FROM read, bounds, generate_series(greatest(width_bucket(s, a) - 1, 0),"
            f" least(width_bucket(e - 1, a), {steps:d}) - 1) AS step WHERE e > s"
            " UNION ALL SELECT read.*, width_bucket(latest, a) - 1, true,"
            " CASE WHEN e > s THEN NULL ELSE 1.0::float8 END"
            f" FROM read, bounds WHERE width_bucket(latest, a) BETWEEN 1 AND {steps:d})"
            f" SELECT {', '.join([*groups, 'step::bigint', measures])} FROM parts GROUP BY {columns}"
            f" ORDER BY {', '.join(f'{column} NULLS FIRST' for column in [*groups, 'step'])}"
        )

    def keys(self, plan: KeyScan) -> tuple[str, list[tuple[str, str]]]:
        """Return a statement with one row of truths, and the column and key of a metric that each is about."""
        found = self.keys_asked(plan)
        counts = ", ".join(f"count({self._column(place)}) AS k{index}" for index, (*_, place) in enumerate(found))
        sums = ", ".join(f"coalesce(sum(k{index}), 0) > 0 AS k{index}" for index in range(len(found)))
        where = self.condition(plan.where)
        parts = f" GROUP BY {PART}" if self._is_whole(plan.recent) else ""
        rows = f"SELECT {counts} FROM {self._rows(plan.recent)} WHERE {where}{parts}"  # noqa: S608 - quoted names
        return f"SELECT {sums} FROM ({rows}) AS counts", [pair[:2] for pair in found]  # noqa: S608

    def _is_whole(self, recent: int | None) -> bool:
        """Tell whether rows are read from a large table itself, where they have parts."""
        return self.table in LARGE_TABLES and (recent is None or not self.catalog.sites)

    def keys_asked(self, plan: KeyScan) -> list[tuple[str, str, str]]:
        """Return the metrics' keys that a scan looks for: column, key, and where it is."""
        metrics = dict.fromkeys(filter(is_metric, plan.columns))
        return [(column, key, place) for column in metrics for key, place in self._keys_of(column)]

    def keys_of_object(self, plan: KeyScan, column: str) -> str:
        """Return a statement that gives the keys of a JSON column that is no metric, a row each."""
        self._exists(column)
        source = self._column(json_column(column))
        where = self.condition(plan.where)
        rows = f"SELECT {source} AS object FROM {self._rows(plan.recent)} WHERE {where}"  # noqa: S608
        return f"SELECT DISTINCT jsonb_object_keys(object) AS key FROM ({rows}) AS objects"  # noqa: S608

    def distinct(self, plan: Distinct) -> str:
        """Return the statement of a distinct look-up."""
        shown = [f"{self._as_text(column)} AS c{index}" for index, column in enumerate(plan.columns)]
        where = self.condition(plan.where)
        rows = self._rows(plan.recent)
        # SQLite has nulls first unless told otherwise.
        order = ", ".join(f"c{index} NULLS FIRST" for index in range(len(shown)))
        return f"SELECT DISTINCT {', '.join(shown)} FROM {rows} WHERE {where} ORDER BY {order}{self._limit(plan.limit)}"  # noqa: S608

    # Conditions

    def condition(self, condition: Condition) -> str:
        """Write a condition."""
        match condition:
            case AllOf(parts):
                return "(" + " AND ".join(map(self.condition, parts)) + ")" if parts else "true"
            case AnyOf(parts):
                return "(" + " OR ".join(map(self.condition, parts)) + ")" if parts else "false"
            case In(operand, values, negate):
                return self._in(operand, values, negate=negate)
            case PairIn((first, second), pairs):
                return self._pairs(first, second, pairs)
            case Compare(operand, operator, value):
                return self._compare(operand, OPERATORS[operator], value)
            case Holds(column, values):
                return self._holds(column, _storable(values))
            case StartsWith(operand, prefix):
                if not _storable([prefix]):
                    return "false"
                start = self._parameter(ascii_lower(prefix), "text")
                # Only ASCII letters have a case in SQLite's LIKE.
                return f"starts_with(translate({self._operand_text(operand)}, '{UPPER}', '{LOWER}'), {start})"
            case Within(Instant.UPDATED, start, end):
                self._exists("last_updated_at")
                return f"({self._column(MOMENT)} BETWEEN {self.integer(start)} AND {self.integer(end)})"
            case Within():
                from_ms, to_ms = condition.milliseconds
                return f"({self._plain('ended_at_ts')} BETWEEN {self.integer(from_ms)} AND {self.integer(to_ms)})"
            case Running():
                return f"({self._plain('ended_at_ts')} = 0)"

    def _holds(self, column: str, values: list[str]) -> str:
        name = self._plain(column)
        if not values:
            return "false"
        wanted = self._parameter(values, "text[]")
        if column == CLUSTERS:
            return f"({name}::jsonb ?| {wanted})"
        if column not in LISTS.get(self.table, ()):
            raise ValueError(f"column {column} holds no lists")
        return f"({self._column(list_column(column))} && {wanted})"

    def _in(self, operand: Operand, values: tuple[str, ...], *, negate: bool) -> str:
        if not values:
            return "true" if negate else "false"
        if isinstance(operand, str) and operand in INTEGERS:
            left, kind = self._plain(operand), "bigint[]"
            wanted: list[object] = list(integers_meant(values))
        elif isinstance(operand, str):
            left, kind = self._as_text(operand), "text[]"
            wanted = list(_storable(values))
        elif is_metric(operand.column):
            place = self.place_of(operand)
            left, kind = "NULL::float8" if place is None else self._column(place), "float8[]"
            wanted = list(numbers_of(values))
        else:
            return self._object_in(operand, values, negate=negate)
        if not wanted:
            return "true" if negate else "false"
        chosen = self._parameter(wanted, kind)
        return f"({left} IS NULL OR {left} <> ALL ({chosen}))" if negate else f"({left} = ANY ({chosen}))"

    def _object_in(self, key: Key, values: tuple[str, ...], *, negate: bool) -> str:
        value = self._value(key)
        if value is None:
            return "true" if negate else "false"
        numbers = numbers_of(values)
        wanted: list[object] = [*_storable(values), *numbers]
        wanted += [bool(number) for number in numbers if number in {0.0, 1.0}]  # as SQLite has them
        # Whether an object has a key with a plain value can be asked of other servers.
        source = self._column(json_column(key.column))
        objects = self._parameter([json.dumps({key.name: one}) for one in wanted], "text[]")
        found = f"{source} @> ANY ({objects}::jsonb[])" if wanted else "false"
        nested = [one for one in _storable(values) if _is_nested(one)]
        if nested:
            same = f"{value} = ANY ({self._parameter(nested, 'text[]')}::jsonb[])"
            found += f" OR ({value} IS NOT NULL AND {same})"
        return f"({source} IS NULL OR NOT ({found}))" if negate else f"({found})"

    def _pairs(self, first: str, second: str, pairs: tuple[tuple[str, str], ...]) -> str:
        left, right = self._plain(first), self._plain(second)
        if {first, second} & INTEGERS:
            raise ValueError("pairs are of texts")
        by_first: dict[str, list[str]] = {}
        for one, two in pairs:
            if len(_storable((one, two))) == 2:
                by_first.setdefault(one, []).append(two)
        # There are few clusters; equalities can be sent to other servers, joins with lists of pairs cannot.
        parts = [
            f"({left} = {self._parameter(one, 'text')} AND {right} = ANY ({self._parameter(list(many), 'text[]')}))"
            for one, many in by_first.items()
        ]
        return f"({' OR '.join(parts)})" if parts else "false"

    def _compare(self, operand: Operand, operator: str, value: float) -> str:
        if isinstance(operand, str):
            left = self._plain(operand)
            if operand not in INTEGERS:
                return "false"  # texts are no numbers
            if float(value).is_integer() and _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
                return f"({left} {operator} {self.integer(int(value))})"
            return f"({left}::float8 {operator} {self._parameter(float(value), 'float8')})"
        if not is_metric(operand.column):
            return self._compare_object(operand, operator, value)
        place = self.place_of(operand)
        if place is None:
            return "false"
        number = f"{self._column(place)} {operator} {self._parameter(float(value), 'float8')}"
        # NaN is greater than Infinity here.
        return f"({number} AND {self._column(place)} < {_INFINITY})" if place in self.layout.coded else f"({number})"

    def _compare_object(self, key: Key, operator: str, value: float) -> str:
        found = self._value(key)
        if found is None:
            return "false"
        wanted = self._parameter(repr(float(value)), "text") + "::numeric"
        return (
            f"(CASE jsonb_typeof({found}) WHEN 'number' THEN {found}::numeric {operator} {wanted}"
            f" WHEN 'boolean' THEN {found}::bool::int {operator} {wanted} ELSE false END)"
        )

    # Measures

    def sum_of(self, measure: Measure) -> str:
        """Write a measure's part of the first step."""
        match measure:
            case Count():
                return "count(*)"
            case CountIf(_, condition):
                return f"count(*) FILTER (WHERE {self.condition(condition)})"
            case Sum(_, str(column)):
                if column not in INTEGERS:
                    raise ValueError(f"column {column} holds no numbers to sum up")
                return f"sum({self._plain(column)})"
            case Sum(_, Key() as operand):
                return f"sum({self.number(operand)})"
            case WeightedSum(_, value, weight):
                return f"sum({self.number(value)} * {self._weight(weight)})"
            case WeightOf(_, value, weight):
                return f"sum({self._weight(weight)}) FILTER (WHERE {self.number(value)} IS NOT NULL)"
        raise ValueError(f"{measure} is no sum")

    def _share(self, measure: Measure) -> str:
        match measure:
            case Count():
                return "sum(here::int)"
            case Sum(_, Key() as operand):
                return f"sum({self.number(operand)} * share)"
            case WeightedSum(_, value, weight):
                return f"sum({self.number(value)} * {self._weight(weight)} * share)"
            case WeightOf(_, value, weight):
                return f"sum({self._weight(weight)} * share) FILTER (WHERE {self.number(value)} IS NOT NULL)"
        raise ValueError(f"{measure} cannot be spread over steps")

    def _places_of(self, measures: Iterable[Measure]) -> list[str]:
        keys: list[Key] = []
        for measure in measures:
            match measure:
                case Sum(_, Key() as operand):
                    keys.append(operand)
                case WeightedSum(_, value, weight) | WeightOf(_, value, weight):
                    keys += [value, weight]
        columns = [self.place_of(key) if is_metric(key.column) else json_column(key.column) for key in keys]
        return [quote(column) for column in columns if column is not None]

    def number(self, key: Key) -> str:
        """Write the value that counts in sums (float8): null where there is none, 0 for what is no number."""
        if is_metric(key.column):
            place = self.place_of(key)
            return "NULL::float8" if place is None else self.shown(place)
        found = self._value(key)
        if found is None:
            return "NULL::float8"
        leading = f"substring({found} #>> '{{}}' FROM {text(_LEADING_NUMBER)})::float8"
        return (
            f"(CASE jsonb_typeof({found}) WHEN 'number' THEN {found}::float8 WHEN 'boolean' THEN {found}::bool::int"
            f" WHEN 'string' THEN coalesce({leading}, 0) WHEN 'null' THEN NULL ELSE 0 * length({found}::text) END)"
        )

    def _weight(self, key: Key) -> str:
        number = self.number(key)
        return f"(CASE WHEN {number} IS NULL THEN 0 ELSE {number} END)"

    def shown(self, place: str) -> str:
        """Write a metric's value by its column, its codes resolved."""
        name = self._column(place)
        if place not in self.layout.coded:
            return name
        return f"(CASE WHEN {name} < {_INFINITY} THEN {name} WHEN {name} = {_NAN} THEN 0 END)"

    # Order and rows

    def _order(self, item: Order) -> list[str]:
        direction = "DESC" if item.descending else "ASC"
        if isinstance(item.operand, str):
            return [f"{self._as_text(item.operand)} {direction} NULLS LAST"]
        if not is_metric(item.operand.column) and not item.numeric:
            found = self._value(item.operand)
            if found is None:
                return []
            kind = f"jsonb_typeof({found})"
            number = f"CASE {kind} WHEN 'number' THEN {found}::numeric WHEN 'boolean' THEN {found}::bool::int END"
            return [  # numbers come before texts
                f"({kind} IS NULL OR {kind} = 'null') ASC",
                f"({kind} IN ('number', 'boolean')) {'ASC' if item.descending else 'DESC'}",
                f"({number}) {direction}",
                f"({found} #>> '{{}}') COLLATE \"C\" {direction}",
            ]
        if is_metric(item.operand.column) and not item.numeric:
            place = self.place_of(item.operand)
            # NaN, which stands for texts, is greater than all numbers.
            return [f"nullif({self._column(place)}, {_INFINITY}) {direction} NULLS LAST"] if place is not None else []
        return [f"{self.number(item.operand)} {direction} NULLS LAST"]

    def _limit(self, limit: int | None) -> str:
        return "" if limit is None or limit < 0 else f" LIMIT {self.integer(limit)}"

    def _rows(self, recent: int | None) -> str:
        """Write the table, or the rows that each site added last; after all columns were written."""
        if recent is None:
            return self.place
        limit = self.integer(max(recent, 0))
        order = f"ORDER BY {quote(ROW)} DESC LIMIT {limit}"
        columns = ", ".join(dict.fromkeys([*self._used, quote(ROW)]))
        newest = []
        for site in map(partial(self._parameter, kind="text"), self.catalog.sites):
            rows = f"SELECT {columns} FROM {self.place} WHERE {SITE} = {site}"  # noqa: S608 - quoted names
            if self.table is Table.UNITS and self.catalog.shards:
                # A limit is sent to a server only where its partition is named.
                places = map(self.catalog.place, self.catalog.shards)
                parts = [f"(SELECT {columns} FROM {place} WHERE {SITE} = {site} {order})" for place in places]  # noqa: S608
                rows = f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS parts"  # noqa: S608 - written above
            newest.append(f"({rows} {order})")
        return f"({' UNION ALL '.join(newest)}) AS newest" if newest else self.place

    # Columns and parameters

    def _parameter(self, value: object, kind: str) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}::{kind}"

    def integer(self, value: int) -> str:
        """Write an integer as a parameter."""
        return self._parameter(min(max(value, _LEAST_INTEGER), _GREATEST_INTEGER), "bigint")

    def _column(self, name: str) -> str:
        quoted = quote(name)
        self._used[quoted] = None
        return quoted

    def _plain(self, column: str) -> str:
        self._exists(column)
        if is_metric(column):
            raise ValueError(f"{column} is a JSON object: name one of its keys")
        return self._column(column)

    def _exists(self, column: str) -> None:
        if column not in self.layout.columns:
            raise lacking(f"column {column}")

    def _keys_of(self, column: str) -> list[tuple[str, str]]:
        self._exists(column)
        return sorted(self.layout.keys.get(column, {}).items())

    def place_of(self, key: Key) -> str | None:
        """Return the column of a metric's key, or None where no row has it."""
        self._exists(key.column)
        return self.layout.keys.get(key.column, {}).get(key.name)

    def _value(self, key: Key) -> str | None:
        """Write the value of a key of a JSON column that is no metric; None where no row can have it."""
        self._exists(key.column)
        if self.table is not Table.UNITS or key.column not in OBJECTS:
            raise lacking(f"column {key.column} with keys")
        if not _storable([key.name]):
            return None
        return f"({self._column(json_column(key.column))} -> {self._parameter(key.name, 'text')})"

    def _operand_text(self, operand: Operand) -> str:
        if isinstance(operand, str):
            return f"{self._plain(operand)}::text" if operand in INTEGERS else self._as_text(operand)
        if is_metric(operand.column):
            place = self.place_of(operand)
            return "NULL::text" if place is None else f"{self.shown(place)}::text"
        found = self._value(operand)
        return "NULL::text" if found is None else f"({found} #>> '{{}}')"

    def _as_group(self, name: str) -> str:
        return f"{quote(name)}::text" if name in INTEGERS else quote(name)

    def _as_text(self, column: str) -> str:
        """Write a column; a metric as JSON text again: the same keys with the same numbers, in order of the keys."""
        if not is_metric(column):
            return self._plain(column)
        parts = []
        for key, place in self._keys_of(column):
            name = self._column(place)
            value = f"{name}::text"
            if place in self.layout.coded:
                value = (
                    f"CASE WHEN {name} < {_INFINITY} THEN {value} WHEN {name} = {_NAN} THEN '\"NaN\"' ELSE 'null' END"
                )
            parts.append(f"CASE WHEN {name} IS NOT NULL THEN {text(json_key(key))} || {value} END")
        chunks = [f"concat_ws(',', {', '.join(parts[at : at + 50])})" for at in range(0, len(parts), 50)]
        if len(chunks) > 1:  # functions have at most 100 arguments
            chunks = [f"nullif({chunk}, '')" for chunk in chunks]
            return f"('{{' || concat_ws(',', {', '.join(chunks)}) || '}}')"
        return f"('{{' || {chunks[0]} || '}}')" if chunks else "'{}'::text"


def summed(measures: tuple[Measure, ...]) -> list[tuple[str, Measure]]:
    """Return the measures that the first step sums up, with the names of their columns in it."""
    return [(part_name(index), measure) for index, measure in enumerate(measures) if not isinstance(measure, FirstBy)]


def part_name(index: int) -> str:
    """Return the name of a measure's column in the first step."""
    return f"#part{index}"


def group_by(columns: list[str]) -> str:
    """Write GROUP BY, for no columns nothing."""
    return f" GROUP BY {', '.join(map(quote, columns))}" if columns else ""


def _storable(values: Iterable[str | None]) -> list[str]:
    """Return the texts that PostgreSQL can hold: others equal no value of it, nor does null."""
    found = []
    for value in values:
        with suppress(UnicodeEncodeError):
            if value is not None and b"\0" not in value.encode():
                found.append(value)
    return found


def _is_nested(value: str) -> bool:
    """Tell whether the text is a JSON object or array that PostgreSQL can hold."""
    if value[:1] not in {"{", "["} or "\\u0000" in value:
        return False
    with suppress(ValueError, RecursionError):
        msgspec.json.decode(value)
        return True
    return False
