"""Answers as data frames: the types and units of fields, the frame types of alerting, notices.

Making frames takes long for many rows or fields: do it in a thread. It stops when its caller is cancelled.
"""

from itertools import repeat

import pyarrow as pa

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.key_descriptions import describe_key
from ceems_grpc.domain.questions.limits import check_series
from ceems_grpc.domain.questions.steps import TimeSteps
from ceems_grpc.grafana import Field, FieldConfig, Frame, FrameMeta, FrameType, Notice
from ceems_grpc.schema import Column, Kind, Type, Unit
from ceems_grpc.store.columnar.flatten import decode_list
from ceems_grpc.store.runtime.cancellation import check_cancelled, until_cancelled
from ceems_grpc.store.runtime.memory_budget import claim_series

UNITS: dict[Unit, str] = {
    Unit.NONE: "",
    Unit.PERCENT: "percent",
    Unit.KWH: "kwatth",
    Unit.GRAMS: "massg",
    Unit.SECONDS: "s",
    Unit.BYTES: "bytes",
    Unit.COUNT: "short",
    Unit.KWH_PER_HOUR: "suffix: kWh/h",
    Unit.GRAMS_PER_HOUR: "suffix: g/h",
    Unit.HOURS: "suffix: h",  # Grafana's own unit of hours shows many of them as years
    Unit.GRAMS_PER_KWH: "suffix: g/kWh",
    Unit.MOMENT: "dateTimeAsIso",
    Unit.CHANGE: "percent",
}
"""Grafana's unit ids, see valueFormats/categories.ts of @grafana/data."""

_TIME = pa.timestamp("ms", "UTC")
_ROWS_AT_ONCE = 4_096  # Arrow holds the interpreter lock while it makes Python objects


def table_frame(name: str, answer: Answer) -> Frame:
    """Return an answer as a table."""
    fields = tuple(_field(answer, column) for column in answer.table.column_names)
    return Frame(name, fields, meta_of(answer, FrameType.TABLE, "table"))


def numeric_frame(name: str, answer: Answer) -> Frame:
    """Return an answer as numeric-long: text columns label each row, number columns are its values."""
    kept = [
        column
        for column in answer.table.column_names
        if pa.types.is_string(answer.table.schema.field(column).type)
        or pa.types.is_integer(answer.table.schema.field(column).type)
        or pa.types.is_floating(answer.table.schema.field(column).type)
    ]
    # Only a frame without fields means "no data" to alert rules.
    fields = tuple(_field(answer, column) for column in kept) if answer.table.num_rows else ()
    return Frame(name, fields, meta_of(answer, FrameType.NUMERIC_LONG, "table"))


def series_frames(
    name: str, answer: Answer, groups: tuple[str, ...], steps: TimeSteps, *, wide: bool, start: int = 0
) -> list[Frame]:
    """Return rows of (groups, step, values) as one series per group and value. Steps without a row are null.

    ``start``: of the time range, in seconds since 1970. The time of a single step is not before it.
    """
    table = answer.table
    names = [name for name in table.column_names if name != "step" and name not in groups]
    found = table.select(list(groups)).group_by(list(groups)).aggregate([]).num_rows if groups else 1
    count = len(steps.starts)
    # A separate frame has its own times.
    check_series(found * len(names), count if wide else 2 * count)
    claim_series(found * len(names) * (count if wide else 2 * count))
    # A chart whose only point is outside its time range shows nothing. Of several steps, the first may start before the
    # range: a chart cuts its bar off, and all bars keep their width, which depends on the shortest distance.
    starts = steps.starts if count > 1 else (max(steps.starts[0], start),)
    moments = pa.array([moment * 1000 for moment in starts], pa.int64()).cast(_TIME)
    interval = (steps.end - steps.starts[0]) / count * 1000
    time = Field("time", moments, config=FieldConfig(interval=interval))
    rows = _rows_of_series(table, groups, count)
    series: list[Field] = []
    for column in names:
        values = table.column(column)
        cells = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
        config = config_of(answer.column_of(column), column)
        for label, places in rows.items():
            check_cancelled()
            named = {group: text or "" for group, text in zip(groups, label, strict=True)}
            series.append(Field(column, cells.take(places), named, config))
    if not series:
        return [Frame(name, (), meta_of(answer, FrameType.TIMESERIES_WIDE, "graph"))]  # "no data" to alert rules
    if wide:
        return [Frame(name, (time, *series), meta_of(answer, FrameType.TIMESERIES_WIDE, "graph"))]
    meta = meta_of(answer, FrameType.TIMESERIES_MULTI, "graph")
    return [Frame(name, (time, one), meta) for one in series]


def _rows_of_series(
    table: pa.Table, groups: tuple[str, ...], count: int
) -> dict[tuple[str | None, ...], pa.Int64Array]:
    """Return for each group the row of each step, null if there is none."""
    rows: dict[tuple[str | None, ...], list[int | None]] = {}
    for start in range(0, table.num_rows, _ROWS_AT_ONCE):
        check_cancelled()
        piece = table.slice(start, _ROWS_AT_ONCE)
        labels = zip(*(piece.column(name).to_pylist() for name in groups), strict=True) if groups else repeat(())
        for row, (label, step) in enumerate(zip(labels, piece.column("step").to_pylist(), strict=bool(groups)), start):
            if label not in rows:
                rows[label] = [None] * count
            rows[label][step] = row
    return {label: pa.array(places, pa.int64()) for label, places in rows.items()}


def _field(answer: Answer, name: str) -> Field:
    column = answer.column_of(name)
    data = answer.table.column(name)
    if column.type is Type.LIST:
        data = pa.chunked_array([pa.array([_joined(text) for text in until_cancelled(data.to_pylist())], pa.string())])
    return Field(name, data, config=config_of(column, name))


def config_of(column: Column, name: str) -> FieldConfig:
    """Return the unit, the description and the limits of a field."""
    key = column.key_in(name)
    unit = column.unit_of(key)
    percent = unit is Unit.PERCENT
    more = ", comma-separated" if column.type is Type.LIST else ""
    return FieldConfig(
        description=describe_key(column, key) + more,
        unit="locale" if column.kind is Kind.COUNT else UNITS[unit],  # shows counts exactly
        min=0 if percent else None,
        max=100 if percent else None,
    )


def meta_of(answer: Answer, type_: FrameType, visualisation: str) -> FrameMeta:
    """Return the metadata of a frame: its type, the notices of its answer, and "graph" or "table"."""
    notices = [Notice("warning", text) for text in answer.notices]
    graph = visualisation == "graph"
    return FrameMeta(type=type_, notices=notices, preferred_visualisation="graph" if graph else "table")


def _joined(text: str | None) -> str:
    return ", ".join(map(str, decode_list(text)))
