"""Rollups: sums of units per UTC hour and day, which PostgreSQL stores beside the units.

A row of ``units_hourly`` sums the units of a site, part and group whose last update (``#moment``) is in the hour.
``units_daily`` sums hours. When a row changes, the sums of its hour are computed again from all rows; sums are never
incremented. So they always equal the sums of the rows that exist.
"""

from collections.abc import Collection, Iterable

from ceems_grpc.schema import GROUPS, TIMES
from ceems_grpc.store.columnar.layout import DAY, MOMENT, quote, text
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.schema import (
    DAILY,
    HOUR,
    HOURLY,
    PART,
    SITE,
    UNITS_COUNT,
    TableCatalog,
    weight_column,
    weighted_column,
)
from ceems_grpc.store.sql.columns import without_codes

HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400
_MOST_RANGES = 40  # statements; more separate ranges of hours are computed in one


def hour_of(moment: int) -> int:
    """Return the start of the UTC hour of a moment, both in seconds since 1970."""
    return moment // HOUR_SECONDS * HOUR_SECONDS


def rollup_columns(catalog: TableCatalog) -> dict[str, str]:
    """Return the columns of measures in the rollups, each with the expression over units that it sums."""
    columns: dict[str, str] = {}
    time = catalog.keys.get(TIMES, {})
    for metric, keys in catalog.keys.items():
        for place in keys.values():
            value = _shown(place, catalog)
            columns[place] = value
            if metric in catalog.weights:
                found = time.get(catalog.weights[metric])
                weight = "0" if found is None else f"coalesce({_shown(found, catalog)}, 0)"
                columns[weighted_column(place)] = f"{value} * {weight}"
                columns[weight_column(place)] = f"CASE WHEN {value} IS NOT NULL THEN {weight} END"
    return columns


def refresh_statements(schema: str, site: str, catalog: TableCatalog, hours: Collection[int]) -> list[str]:
    """Return the SQL statements that compute these hours, and the days that contain them, again."""
    made: list[str] = []
    ranges = list(_ranges(hours))
    if len(ranges) > _MOST_RANGES:
        listed = f"{_start(HOUR_SECONDS)} = ANY({_array(hours)})"
        made.append(_delete(schema, site, HOURLY, f"{quote(HOUR)} = ANY({_array(hours)})"))
        made.append(_sum_hours(schema, site, catalog, min(hours), max(hours) + HOUR_SECONDS, more=f" AND {listed}"))
    else:
        for first, end in ranges:
            made.append(_delete(schema, site, HOURLY, f"{quote(HOUR)} >= {first} AND {quote(HOUR)} < {end}"))
            made.append(_sum_hours(schema, site, catalog, first, end))
    days = {hour // DAY_SECONDS * DAY_SECONDS for hour in hours}
    if days:
        made.append(_delete(schema, site, DAILY, f"{quote(DAY)} = ANY({_array(days)})"))
        made += [_sum_days(schema, site, catalog, first, end) for first, end in _ranges(days, DAY_SECONDS)]
    return made


def rebuild_statements(schema: str, site: str, catalog: TableCatalog, first: int, end: int) -> list[str]:
    """Return the SQL statements that compute all hours and days from one day's start to another, excluding that day."""
    return [
        _delete(schema, site, HOURLY, f"{quote(HOUR)} >= {first} AND {quote(HOUR)} < {end}"),
        _sum_hours(schema, site, catalog, first, end),
        _delete(schema, site, DAILY, f"{quote(DAY)} >= {first} AND {quote(DAY)} < {end}"),
        _sum_days(schema, site, catalog, first, end),
    ]


def empty_statements(schema: str, site: str) -> list[str]:
    """Return the SQL statements that delete all rollups of a site."""
    return [_delete(schema, site, name, "TRUE") for name in (HOURLY, DAILY)]


def _sum_hours(schema: str, site: str, catalog: TableCatalog, first: int, end: int, *, more: str = "") -> str:
    columns = rollup_columns(catalog)
    names = [SITE, PART, HOUR, *GROUPS, UNITS_COUNT, *columns]
    # The groups include the part, so that each shard sums its own rows.
    groups = ", ".join([SITE, PART, _start(HOUR_SECONDS), *GROUPS])
    sums = ", ".join(["count(*)", *(f"sum({value})" for value in columns.values())])
    where = f"{SITE} = {text(site)} AND {quote(MOMENT)} >= {first} AND {quote(MOMENT)} < {end}{more}"
    return (
        f"INSERT INTO {quote(schema)}.{HOURLY} ({', '.join(map(quote, names))})"  # noqa: S608 - quoted names
        f" SELECT {groups}, {sums} FROM {quote(schema)}.{Table.UNITS} WHERE {where} GROUP BY {groups}"
    )


def _sum_days(schema: str, site: str, catalog: TableCatalog, first: int, end: int) -> str:
    measures = [UNITS_COUNT, *rollup_columns(catalog)]
    names = [SITE, PART, DAY, *GROUPS, *measures]
    day = f"({quote(HOUR)} - (({quote(HOUR)} % {DAY_SECONDS}) + {DAY_SECONDS}) % {DAY_SECONDS})"
    groups = ", ".join([SITE, PART, day, *GROUPS])
    sums = ", ".join(f"sum({quote(name)})" for name in measures)
    where = f"{SITE} = {text(site)} AND {quote(HOUR)} >= {first} AND {quote(HOUR)} < {end}"
    return (
        f"INSERT INTO {quote(schema)}.{DAILY} ({', '.join(map(quote, names))})"  # noqa: S608 - quoted names
        f" SELECT {groups}, {sums} FROM {quote(schema)}.{HOURLY} WHERE {where} GROUP BY {groups}"
    )


def _delete(schema: str, site: str, name: str, where: str) -> str:
    return f"DELETE FROM {quote(schema)}.{name} WHERE {SITE} = {text(site)} AND {where}"  # noqa: S608 - quoted


def _start(length: int) -> str:
    """Write the start of the hour or day of ``#moment``. The expression is also right before 1970."""
    moment = quote(MOMENT)
    return f"({moment} - (({moment} % {length}) + {length}) % {length})"


def _shown(place: str, catalog: TableCatalog) -> str:
    name = quote(place)
    if place not in catalog.coded:
        return name
    return without_codes(name)


def _array(values: Iterable[int]) -> str:
    return "'{" + ",".join(map(str, sorted(values))) + "}'::bigint[]"


def _ranges(starts: Collection[int], length: int = HOUR_SECONDS) -> Iterable[tuple[int, int]]:
    """Join consecutive hours (or days) to ranges."""
    first: int | None = None
    end = 0
    for start in sorted(starts):
        if first is not None and start != end:
            yield first, end
            first = None
        if first is None:
            first = start
        end = start + length
    if first is not None:
        yield first, end
