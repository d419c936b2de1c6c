"""Answers about units: the rows of table units without the flag ``ignore``, by cluster, uuid and start."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from datetime import datetime, tzinfo
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from ceems_grpc.domain.access import Access
from ceems_grpc.domain.answers.answer import Answer, limit_warning, truncate
from ceems_grpc.domain.answers.derived import add_derived, derived_among, with_needs
from ceems_grpc.domain.answers.filtering import rows_of
from ceems_grpc.domain.answers.superseded import without_superseded
from ceems_grpc.domain.answers.waiting import WAIT_SECONDS, wait_seconds
from ceems_grpc.domain.columns import (
    FACTORS,
    metric_names,
    new_numbers,
    object_names,
    plain_names,
    unit_columns,
    unit_fields,
)
from ceems_grpc.domain.questions.fields import Fields, choose_fields
from ceems_grpc.domain.questions.filters import Filterable
from ceems_grpc.domain.questions.model import OrderBy, UnitsQuestion
from ceems_grpc.domain.questions.ordering import check_order, sort_table
from ceems_grpc.domain.states import is_in_state
from ceems_grpc.schema import Column, Kind, Type
from ceems_grpc.store.columnar.json_paths import paths_of
from ceems_grpc.store.columnar.json_rows import JsonScan, JsonText, WritesJson
from ceems_grpc.store.columnar.local_time import named_zone
from ceems_grpc.store.columnar.values import numbers_of_texts
from ceems_grpc.store.plan import (
    WAIT_COLUMNS,
    AllKeys,
    AnyOf,
    Compare,
    Condition,
    In,
    Instant,
    Key,
    Order,
    RanWithin,
    Running,
    Scan,
    Table,
    Within,
)
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import run_cancellable, until_cancelled

_ORDER = (Order("cluster_id"), Order("uuid"), Order("started_at_ts"), Order("id"))
# The time fields again as numbers, and the field that is computed from them.
_ON_REQUEST = {"created_at_ts", "started_at_ts", "ended_at_ts", WAIT_SECONDS, *(column.name for column in FACTORS)}
_MOMENTS = {"created_at": "created_at_ts", "started_at": "started_at_ts", "ended_at": "ended_at_ts"}
_TIME_LAYOUT = "%Y-%m-%dT%H:%M:%S%z"
MOMENT = pa.timestamp("ms", "UTC")
_NO_MOMENT, _NONE = pa.scalar(0, pa.int64()), pa.scalar(None, pa.int64())


async def units_table(access: Access, question: UnitsQuestion, now: int) -> Answer:
    """Answer as a table: times in UTC (no end while a unit runs), one column per key of a metric, derived columns.

    ``now``: seconds since the epoch, until which a unit without a start waits.

    Rows that a later row of the same unit replaces are left out; see `superseded`.
    """
    known = unit_columns(access.reader)
    columns = {column.name: column for column in unit_fields(access.reader)}
    default = [column for column in columns.values() if column.name not in _ON_REQUEST]
    fields = choose_fields(question.fields, columns.values(), default)
    check_order(question.order, frozenset(columns))
    numbers = new_numbers(access.reader, Table.UNITS)
    by_database = _database_order(known, question.order, numbers)
    scan, told = await _scan(access, question, _columns_to_read(access.reader, fields, question.order))
    if question.running or question.uuids:
        scan = replace(scan, where=await without_superseded(access.reader, scan.where))
    limit = question.limit
    scan = replace(
        scan,
        order=(*(by_database or ()), *_ORDER),
        limit=None if limit is None or by_database is None else limit + 1,
    )
    found = await access.reader.table(scan)

    def finish() -> Answer:
        mentioned = fields.mentioned(question.order)
        table = add_derived(_with_moments(_with_numbers(found, numbers)), derived_among(mentioned))
        if WAIT_SECONDS in mentioned:
            table = table.append_column(WAIT_SECONDS, wait_seconds(found, now))
        if by_database is None:
            table = sort_table(table, question.order)
        table, warnings = truncate(table, limit, "units")
        return Answer(fields.select(table), columns, (*warnings, *fields.warnings(), *told))

    return await run_cancellable(finish)


async def units_batches(
    access: Access, question: UnitsQuestion, timezone: str | None, warnings: list[str]
) -> AsyncGenerator[pa.RecordBatch | JsonText, None]:
    """Answer batch by batch with the database's own columns and JSON texts. All batches have the same columns.

    A store that can write JSON in the API's form yields `JsonText` instead. ``timezone``: the IANA zone in which times
    are written; an unknown zone is ignored. If a limit cuts the answer, a sentence is appended to ``warnings``.
    """
    fields = choose_fields(question.fields, unit_columns(access.reader))
    names = tuple(column.name for column in fields.columns if access.reader.has(Table.UNITS, column.name))
    left = question.limit
    scan, told = await _scan(access, question, names)
    warnings += told
    scan = replace(scan, order=_ORDER, limit=None if left is None else left + 1)
    numbers = {name: type_ for name, type_ in new_numbers(access.reader, Table.UNITS).items() if name in names}
    render = _renderer(timezone, access.reader.zone)
    async for batch in _batches(access.reader, scan, render, numbers):
        if left is not None and batch.num_rows > left:
            warnings.append(limit_warning(question.limit or 0, "units"))
            if isinstance(batch, pa.RecordBatch):
                yield batch.slice(0, left)
            return  # a JsonText beyond the limit holds exactly the one extra row
        left = None if left is None else left - batch.num_rows
        yield batch


def _batches(
    reader: Reader, scan: Scan, render: Callable[[str | None], str | None] | None, numbers: Mapping[str, Type]
) -> AsyncIterator[pa.RecordBatch | JsonText]:
    if render is not None or numbers:
        return _rendered(reader.batches(scan), render, numbers)
    if isinstance(reader, WritesJson) and "uuid" in scan.columns:  # the API writes it even if it is not asked for
        columns = unit_columns(reader)
        metrics = metric_names(columns)
        return reader.json_rows(JsonScan(scan, metrics, object_names(columns) - metrics))
    return reader.batches(scan)


async def _scan(
    access: Access, question: UnitsQuestion, columns: tuple[str | AllKeys, ...]
) -> tuple[Scan, tuple[str, ...]]:
    """Return the scan, and sentences for the reader."""
    reader = access.reader
    known = unit_columns(reader)
    numbers = new_numbers(reader, Table.UNITS)
    among = Filterable(plain_names(known), object_names(known), _MOMENTS, reader.zone, numbers)
    conditions: list[Condition] = [
        Compare("ignore", "=", 0),
        await access.units(question.selection.users, question.selection.projects),
        *access.named(question.selection.users),
    ]
    if question.states:
        conditions.append(is_in_state(question.states))
    if question.uuids:
        conditions.append(In("uuid", question.uuids))
    else:
        window = question.window
        ended = Within(Instant.ENDED, window.start, window.end)
        others = RanWithin(window.start, window.end) if question.ran_within else Running()
        conditions.append(AnyOf((ended, others)) if question.running else ended)
    where, told = await rows_of(reader, Table.UNITS, question.selection, among, conditions)
    return Scan(Table.UNITS, columns, where), told


def _columns_to_read(reader: Reader, fields: Fields, order: tuple[OrderBy, ...]) -> tuple[str | AllKeys, ...]:
    wanted = with_needs(fields.mentioned(order))
    wanted |= {_MOMENTS[name] for name in wanted if name in _MOMENTS}
    if WAIT_SECONDS in wanted:
        wanted |= set(WAIT_COLUMNS)
    wanted.add("uuid")  # a row whose metrics have no keys needs a column, otherwise it would be lost
    read: list[str | AllKeys] = []
    for column in unit_columns(reader):
        if column.name not in wanted or column.name in _MOMENTS or not reader.has(Table.UNITS, column.name):
            continue
        if not column.has_keys:
            read.append(column.name)
        elif column.kind is Kind.METRIC:
            read.append(AllKeys(column.name))
        else:
            read.append(AllKeys(column.name, numeric=False, nested=_nested(column, fields, order)))
    return tuple(read)


def _nested(column: Column, fields: Fields, order: tuple[OrderBy, ...]) -> tuple[str, ...]:
    """Return the names that may mean a value nested in an object of the column: those with a dot."""
    named = [key for found, key in fields.wanted if found == column and key is not None]
    named += [item.field.partition(".")[2] for item in order if item.column == column.name]
    return tuple(dict.fromkeys(name for name in named if len(paths_of(name)) > 1))


def _database_order(
    columns: tuple[Column, ...], order: tuple[OrderBy, ...], numbers: Collection[str]
) -> tuple[Order, ...] | None:
    """Return the order for the database, or None if only the computed answer can be sorted."""
    objects, plain, metrics = object_names(columns), plain_names(columns), metric_names(columns)
    orders: list[Order] = []
    for item in order:
        head, _, key = item.field.partition(".")
        if head in objects and key:
            orders.append(Order(Key(head, key), item.descending, numeric=head in metrics))
        elif item.field in plain and (item.descending or item.field not in _MOMENTS):
            # In the database a missing moment is 0, which would sort first.
            named = _MOMENTS.get(item.field, item.field)
            orders.append(Order(named, item.descending, numeric=named in numbers))
        else:
            return None
    return tuple(orders)


def _with_numbers(table: pa.Table, numbers: Mapping[str, Type]) -> pa.Table:
    for index, name in enumerate(table.column_names):
        if name in numbers:
            table = table.set_column(index, name, numbers_of_texts(table.column(name), numbers[name]))
    return table


def _with_moments(table: pa.Table) -> pa.Table:
    for name, milliseconds in _MOMENTS.items():
        if milliseconds in table.column_names:
            values = table.column(milliseconds)
            moments = pc.if_else(pc.equal(values, _NO_MOMENT), _NONE, values).cast(MOMENT)
            table = table.append_column(name, moments)
    return table


def _renderer(timezone: str | None, site: tzinfo) -> Callable[[str | None], str | None] | None:
    zone = named_zone(timezone or "")
    if zone is None or str(zone) == str(site):
        return None

    def render(text: str | None) -> str | None:
        try:
            return datetime.strptime(text or "", _TIME_LAYOUT).astimezone(zone).strftime(_TIME_LAYOUT)
        except (ValueError, OverflowError):
            return text  # Unknown, N/A

    return render


async def _rendered(
    batches: AsyncIterator[pa.RecordBatch],
    render: Callable[[str | None], str | None] | None,
    numbers: Mapping[str, Type],
) -> AsyncIterator[pa.RecordBatch]:
    async for batch in batches:
        yield await run_cancellable(partial(_rendered_batch, batch, render, numbers))


def _rendered_batch(
    batch: pa.RecordBatch, render: Callable[[str | None], str | None] | None, numbers: Mapping[str, Type]
) -> pa.RecordBatch:
    columns: dict[str, pa.Array] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        columns[name] = column
        if name in numbers:
            columns[name] = numbers_of_texts(column, numbers[name])
        elif render is not None and name in _MOMENTS:
            columns[name] = pa.array([render(text) for text in until_cancelled(column.to_pylist())], pa.string())
    return pa.record_batch(columns)
