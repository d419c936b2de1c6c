"""Distributions as data frames, in the forms that Grafana's Histogram and Heatmap panels read.

Both panels need buckets with two finite ends above 0 where their scale is logarithmic. A bucket without an end, or of
values that count as 0, is therefore drawn beside its neighbour, and a notice says so. Tables keep the true ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.answers.distribution import HIGH, LOW
from ceems_grpc.domain.questions.buckets import RATIO, Buckets
from ceems_grpc.domain.questions.limits import check_cells, check_series
from ceems_grpc.domain.questions.steps import TimeSteps
from ceems_grpc.grafana import Field, FieldConfig, Frame, FrameMeta, FrameType, Notice
from ceems_grpc.panels.display_names import Naming, with_display_names
from ceems_grpc.panels.frames import config_of, meta_of, numeric_frame, series_frames, table_frame
from ceems_grpc.schema import Column, Kind, Unit
from ceems_grpc.store.runtime.cancellation import check_cancelled, until_cancelled

COUNT = "num_units"
_TIME = pa.timestamp("ms", "UTC")
_STEP = Column("time", Kind.TIME, "Start of the step", Unit.MOMENT)
Edges = dict[int, tuple[float, float]]
"""The ends between which each bucket is drawn."""


@dataclass(frozen=True, slots=True)
class DistributionAnswer:
    """An answer about a distribution. ``start``: of the time range; ``stepped``: whether the question has steps."""

    answer: Answer
    groups: tuple[str, ...]
    steps: TimeSteps
    buckets: Buckets
    start: int
    stepped: bool


def distribution_frames(name: str, found: DistributionAnswer, shape: str, naming: Naming) -> list[Frame]:
    """Return the frames of a format: "histogram", "heatmap", "quantiles" or "table"."""
    match shape:
        case "histogram":
            return [_histogram(name, found, naming)]
        case "heatmap":
            return _heatmaps(name, found)
        case "quantiles":
            return _quantiles(name, found, naming)
    return [table_frame(name, _timed(found))]


def _histogram(name: str, found: DistributionAnswer, naming: Naming) -> Frame:
    """Return the fields xMin and xMax, and the counts of each group; no bucket between the outermost is left out."""
    table = found.answer.table
    edges, notices = _drawn(found, gaps=True)
    groups = _rows_by_group(table, found.groups)
    check_series(len(groups), len(edges))
    place = {bucket: row for row, bucket in enumerate(edges)}
    rows = pa.array([place[bucket] for bucket in until_cancelled(table.column("bucket").to_pylist())], pa.int64())
    config = config_of(found.answer.column_of(COUNT), COUNT)
    counts = []
    for label, part in groups.items():
        check_cancelled()
        cells = [0] * len(edges)
        numbers = table.column(COUNT).take(part).to_pylist()
        for row, number in zip(rows.take(part).to_pylist(), numbers, strict=True):
            cells[row] = number
        counts.append(Field(COUNT, pa.array(cells, pa.int64()), _labels(found.groups, label), config))
    meta = _meta(found, FrameType.HISTOGRAM, notices)
    if not counts:
        return Frame(name, (), meta)
    (named,) = with_display_names([Frame(name, counts, meta)], found.answer, naming)
    low, high = (pa.array(ends, pa.float64()) for ends in zip(*edges.values(), strict=True))
    ends = [
        Field("xMin", low, config=_ends_config(found, LOW)),
        Field("xMax", high, config=_ends_config(found, HIGH)),
    ]
    return replace(named, fields=[*ends, *named.fields])


def _heatmaps(name: str, found: DistributionAnswer) -> list[Frame]:
    """Return a frame of cells for each group: the end of the step, the ends of the bucket, and the count."""
    table, steps = found.answer.table, found.steps
    check_cells(table.num_rows, 4)
    edges, notices = _drawn(found, gaps=False)
    groups = _rows_by_group(table, found.groups)
    check_series(len(groups), 1)
    ends = pa.array([moment * 1000 for moment in (*steps.starts[1:], steps.end)], pa.int64()).cast(_TIME)
    interval = (steps.end - steps.starts[0]) / len(steps.starts) * 1000
    low, high = (
        pa.array([edges[bucket][end] for bucket in until_cancelled(table.column("bucket").to_pylist())], pa.float64())
        for end in (0, 1)
    )
    frames = []
    for label, part in groups.items():
        check_cancelled()
        rows = part.take(pc.sort_indices(table.column("step").take(part)))
        labels = _labels(found.groups, label)
        moments = ends.take(table.column("step").take(rows).combine_chunks())
        fields = (
            Field("xMax", moments, config=FieldConfig(interval=interval)),
            Field("yMin", low.take(rows), config=_ends_config(found, LOW)),
            Field("yMax", high.take(rows), config=_ends_config(found, HIGH)),
            Field(COUNT, table.column(COUNT).take(rows), labels, config_of(found.answer.column_of(COUNT), COUNT)),
        )
        title = ", ".join(text or "(none)" for text in label)
        frames.append(Frame(title or name, fields, _meta(found, FrameType.HEATMAP_CELLS, notices)))
    return frames or [Frame(name, (), _meta(found, FrameType.HEATMAP_CELLS, ()))]


def _quantiles(name: str, found: DistributionAnswer, naming: Naming) -> list[Frame]:
    if found.stepped:
        frames = series_frames(name, found.answer, found.groups, found.steps, wide=True, start=found.start)
    else:
        answer = replace(found.answer, table=found.answer.table.drop_columns(["step"]))
        frames = [numeric_frame(name, answer)]
    return with_display_names(frames, found.answer, naming)


def _timed(found: DistributionAnswer) -> Answer:
    """Return the answer with the start of the step instead of its number, and without the number of the bucket."""
    table = found.answer.table.drop_columns(["bucket"])
    check_cells(table.num_rows, table.num_columns)
    place = table.column_names.index("step")
    if not found.stepped:
        return replace(found.answer, table=table.remove_column(place))
    starts = pa.array([moment * 1000 for moment in found.steps.starts], pa.int64()).cast(_TIME)
    moments = starts.take(table.column("step").combine_chunks())
    columns = found.answer.columns | {_STEP.name: _STEP}
    return replace(found.answer, table=table.set_column(place, _STEP.name, moments), columns=columns)


def _drawn(found: DistributionAnswer, *, gaps: bool) -> tuple[Edges, tuple[str, ...]]:
    """Return the ends between which each bucket is drawn, in ascending order, and notices.

    ``gaps``: also of the buckets without units between the others.
    """
    table, buckets = found.answer.table, found.buckets
    used = sorted(pc.unique(table.column("bucket")).to_pylist())
    if not used:
        return {}, ()
    if buckets.zero is not None:
        others = [bucket for bucket in used if bucket != buckets.zero]
        shown = range(others[0], others[-1] + 1) if gaps and others else others
        edges = {bucket: _ends(buckets, bucket) for bucket in shown if bucket != buckets.zero}
        if buckets.zero not in used:
            return edges, ()
        if not others:
            return {buckets.zero: (0.0, 1.0)}, ()
        if min(others) < buckets.zero:
            edges[buckets.zero] = _ends(buckets, buckets.zero)
            return dict(sorted(edges.items())), ()
        low = edges[min(others)][0]
        note = f"The lowest bucket holds {_units(table, [buckets.zero])} with the value 0."
        return {buckets.zero: (low / RATIO, low), **edges}, (note,)
    inner = range(1, len(buckets.bounds)) if gaps else used
    edges = {bucket: _ends(buckets, bucket) for bucket in sorted({*inner, *used})}
    first, last = buckets.bounds[0], buckets.bounds[-1]
    outside = [(0, f"below {first:g}"), (len(buckets.bounds), f"from {last:g} on")]
    told = [f"{_units(table, [bucket])} {where}" for bucket, where in outside if bucket in used]
    return edges, (f"The outermost buckets also hold what is outside the bounds: {', '.join(told)}.",) if told else ()


def _ends(buckets: Buckets, bucket: int) -> tuple[float, float]:
    """Return finite ends of a bucket. One without an end is drawn as wide as its neighbour."""
    low, high = buckets.edges(bucket)
    if bucket == buckets.zero:
        return buckets.bounds[bucket - 1], buckets.bounds[bucket]
    if low is not None and high is not None:
        return low, high
    bounds = buckets.bounds if low is not None else tuple(reversed(buckets.bounds))
    end, before = bounds[-1], bounds[-2] if len(bounds) > 1 else 0.0
    grows = len(bounds) > 2 and min(bounds) > 0 and abs(end * bounds[-3] / before**2 - 1) < 1e-9
    other = end * end / before if grows else 2 * end - before
    if low is not None:
        return low, other if other > low else low + 1
    return (other if other < end else end - 1), end


def _units(table: pa.Table, buckets: Iterable[int]) -> str:
    chosen = pc.is_in(table.column("bucket"), pa.array(list(buckets), pa.int64()))
    number = pc.sum(table.column(COUNT).filter(chosen)).as_py()
    return f"{number} unit" if number == 1 else f"{number} units"


def _rows_by_group(table: pa.Table, groups: tuple[str, ...]) -> dict[tuple[str | None, ...], pa.Int64Array]:
    """Return the rows of each group."""
    rows = pa.array(range(table.num_rows), pa.int64())
    if not groups:
        return {(): rows} if table.num_rows else {}
    numbered = table.select(list(groups)).append_column("#row", rows)
    together = numbered.group_by(list(groups), use_threads=False).aggregate([("#row", "list")])
    check_series(together.num_rows, 1)
    labels = zip(*(together.column(name).to_pylist() for name in groups), strict=True)
    return {label: part.values for label, part in zip(labels, together.column("#row_list"), strict=True)}


def _labels(groups: tuple[str, ...], label: tuple[str | None, ...]) -> dict[str, str]:
    return {group: text or "" for group, text in zip(groups, label, strict=True)}


def _ends_config(found: DistributionAnswer, column: str) -> FieldConfig:
    return config_of(found.answer.column_of(column), column)


def _meta(found: DistributionAnswer, type_: FrameType, notices: tuple[str, ...]) -> FrameMeta:
    meta = meta_of(found.answer, type_, "graph")
    told = [*(meta.notices or ()), *(Notice("info", text) for text in notices)]
    return msgspec.structs.replace(meta, notices=told)
