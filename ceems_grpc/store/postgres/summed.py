"""Aggregates of units from the sums per UTC day and hour. They are exact even if a window starts within an hour.

Whole days of the window come from ``units_daily``, other whole hours from ``units_hourly``, and the rest at both ends
from the units themselves. See `ceems_grpc.store.postgres.feed.rollups` for these sums.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ceems_grpc.schema import GROUPS, TIMES, is_metric
from ceems_grpc.store.columnar.layout import DAY, MOMENT, quote
from ceems_grpc.store.plan import (
    Aggregate,
    AllOf,
    AnyOf,
    Condition,
    Count,
    CountIf,
    FirstBy,
    In,
    Instant,
    Key,
    KeyScan,
    Measure,
    PairIn,
    StartsWith,
    Sum,
    Table,
    WeightedSum,
    WeightOf,
    Within,
)
from ceems_grpc.store.postgres.dialect import Catalog, PostgresSql
from ceems_grpc.store.postgres.schema import (
    DAILY,
    HOUR,
    HOURLY,
    PART,
    UNITS_COUNT,
    weight_column,
    weighted_column,
)

_HOUR, _DAY = 3_600, 86_400

Span = tuple[int, int]
"""A range in seconds since 1970. The start is included, the end is not."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A window in pieces: whole days, other whole hours, and the rest at both ends; also the other conditions."""

    days: tuple[Span, ...]
    hours: tuple[Span, ...]
    rest: tuple[Span, ...]
    where: Condition


def pieces_of(catalog: Catalog, table: Table, where: Condition) -> Pieces | None:
    """Return the window of a condition in pieces, or None if the sums cannot answer."""
    if table is not Table.UNITS or not catalog.rollups:
        return None
    parts = list(_flat(where))
    windows = [part for part in parts if isinstance(part, Within) and part.instant is Instant.UPDATED]
    others = [part for part in parts if part not in windows]
    if len(windows) != 1 or not all(map(_is_of_groups, others)):
        return None
    start, end = windows[0].start, windows[0].end + 1
    first, last = -(-start // _HOUR) * _HOUR, end // _HOUR * _HOUR
    if first >= last:
        return None
    day, night = -(-first // _DAY) * _DAY, last // _DAY * _DAY
    if day >= night:
        day = night = last
    return Pieces(
        days=_spans((day, night)),
        hours=_spans((first, day), (night, last)),
        rest=_spans((start, first), (last, end)),
        where=AllOf(tuple(others)),
    )


def can_sum(catalog: Catalog, plan: Aggregate) -> Pieces | None:
    """Return the pieces of an aggregation's window, or None if only the units can answer."""
    pieces = pieces_of(catalog, plan.table, plan.where)
    if pieces is None or plan.day or plan.prorated or not set(plan.by) <= set(GROUPS):
        return None
    return pieces if all(_is_kept(catalog, measure) for measure in plan.measures) else None


def aggregate(sql: PostgresSql, plan: Aggregate, pieces: Pieces) -> str:
    """Return the statement of an aggregation from the pieces."""
    sources = []
    for name, time, spans in ((DAILY, DAY, pieces.days), (HOURLY, HOUR, pieces.hours)):
        for span in spans:
            sums = [_kept(sql, measure) for measure in plan.measures if not isinstance(measure, FirstBy)]
            rows = f"{sql.catalog.place(name)} WHERE {_within(sql, time, span)} AND {sql.condition(pieces.where)}"
            sources.append(sql.first_step(plan, sums, rows))
    for span in pieces.rest:
        rows = f"{sql.place} WHERE {_within(sql, MOMENT, span)} AND {sql.condition(pieces.where)}"
        sources.append(sql.first_step(plan, sql.sums(plan), rows, *sql.sharded_by))
    return sql.second_step(plan, " UNION ALL ".join(sources))


def keys(sql: PostgresSql, plan: KeyScan, pieces: Pieces) -> tuple[str, list[tuple[str, str]]]:
    """Return what `PostgresSql.keys` does, from the pieces.

    If the value of a key may be null, only the units show whether the key exists.
    """
    found = sql.keys_asked(plan)
    kept = [place for *_, place in found if place not in sql.layout.coded]
    coded = [place for *_, place in found if place in sql.layout.coded]
    if not kept:
        return sql.keys(plan)
    sources = []
    for name, time, spans in (
        (DAILY, DAY, pieces.days),
        (HOURLY, HOUR, pieces.hours),
        (sql.table, MOMENT, pieces.rest),
    ):
        for span in spans:
            where = f"{_within(sql, time, span)} AND {sql.condition(pieces.where)}"
            groups = f" GROUP BY {PART}" if name == sql.table else ""
            sources.append(f"SELECT {_counts(kept)} FROM {sql.catalog.place(name)} WHERE {where}{groups}")  # noqa: S608
    sums = ", ".join(f"coalesce(sum({quote(place)}), 0) > 0 AS {quote(place)}" for place in kept)
    statement = f"(SELECT {sums} FROM ({' UNION ALL '.join(sources)}) AS pieces) AS kept"  # noqa: S608
    if coded:
        rows = f"SELECT {_counts(coded)} FROM {sql.place} WHERE {sql.condition(plan.where)} GROUP BY {PART}"  # noqa: S608
        present = ", ".join(f"coalesce(sum({quote(place)}), 0) > 0 AS {quote(place)}" for place in coded)
        statement += f", (SELECT {present} FROM ({rows}) AS counts) AS coded"  # noqa: S608
    shown = ", ".join(quote(place) for *_, place in found)
    return f"SELECT {shown} FROM {statement}", [pair[:2] for pair in found]  # noqa: S608


def _counts(places: Iterable[str]) -> str:
    return ", ".join(f"count({quote(place)}) AS {quote(place)}" for place in places)


def _kept(sql: PostgresSql, measure: Measure) -> str:
    """Write the aggregate of the sums of a measure."""
    match measure:
        case Count():
            return f"sum({quote(UNITS_COUNT)})"
        case CountIf(_, condition):
            return f"sum({quote(UNITS_COUNT)}) FILTER (WHERE {sql.condition(condition)})"
        case Sum(_, Key() as key):
            return _sum(sql.place_of(key))
        case WeightedSum(_, value, _):
            place = sql.place_of(value)
            return _sum(None if place is None else weighted_column(place))
        case WeightOf(_, value, _):
            place = sql.place_of(value)
            return _sum(None if place is None else weight_column(place))
    raise ValueError(f"no sums are kept for {measure}")


def _sum(column: str | None) -> str:
    return "NULL::float8" if column is None else f"sum({quote(column)})"


def _is_kept(catalog: Catalog, measure: Measure) -> bool:
    match measure:
        case Count():
            return True
        case CountIf(_, condition):
            return _is_of_groups(condition)
        case FirstBy(_, column, by):
            return {column, by} <= set(GROUPS)
        case Sum(_, Key() as key):
            return is_metric(key.column)
        case WeightedSum(_, value, weight) | WeightOf(_, value, weight):
            kept = catalog.tables[Table.UNITS].weights.get(value.column)
            return kept is not None and weight == Key(TIMES, kept)
    return False


def _is_of_groups(condition: Condition) -> bool:
    match condition:
        case AllOf(parts) | AnyOf(parts):
            return all(map(_is_of_groups, parts))
        case In(operand) | StartsWith(operand):
            return operand in GROUPS
        case PairIn(columns):
            return set(columns) <= set(GROUPS)
    return False


def _flat(condition: Condition) -> Iterable[Condition]:
    if isinstance(condition, AllOf):
        for part in condition.parts:
            yield from _flat(part)
    else:
        yield condition


def _spans(*spans: Span) -> tuple[Span, ...]:
    return tuple(span for span in spans if span[0] < span[1])


def _within(sql: PostgresSql, time: str, span: Span) -> str:
    return f"{quote(time)} >= {sql.value(span[0])} AND {quote(time)} < {sql.value(span[1])}"
