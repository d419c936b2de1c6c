"""Time series as block charts, one below the other, so that they differ even without colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from typing import TYPE_CHECKING

import pyarrow as pa

from ceems_grpc.cli.output.decoded_frame import DecodedFrame, FrameColumn
from ceems_grpc.cli.output.escaping import visible
from ceems_grpc.cli.output.values import in_zone, text_of

if TYPE_CHECKING:
    from rich.console import Console

_BLOCKS = " ▁▂▃▄▅▆▇█"
_STEPS = len(_BLOCKS) - 1
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "red")
_WIDEST_LABEL = 24
_SUMMARY = 20
_MOST_SERIES = 12
_MOST_COLUMNS_A_DAY = 6

Points = dict[datetime, float]


@dataclass(frozen=True, slots=True)
class _Series:
    column: FrameColumn
    points: Points

    @property
    def weight(self) -> float:
        return sum(map(abs, self.points.values()))


def print_charts(console: Console, frames: Sequence[DecodedFrame], zone: tzinfo = UTC) -> None:
    """Draw the number columns of frames that have a time column, grouped by name, each series on its own scale.

    If there are many series, only those with the largest sums are drawn, and a line says so. The axis is in ``zone``
    and names it.
    """
    from rich.text import Text  # noqa: PLC0415 - of an extra

    times = sorted({moment for frame in frames for moment in _times(frame)})
    series = [one for frame in frames for one in _series(frame) if one.points]
    if not series:
        console.print("No values in this time range.", style="yellow")
        return
    largest = sorted(series, key=lambda one: one.weight, reverse=True)[:_MOST_SERIES]
    kept = [one for one in series if one in largest]
    indent = min(_WIDEST_LABEL, max(len(_label(one.column)) for one in kept)) + 2
    width = max(10, console.width - indent - 2 - max(_SUMMARY, len(str(zone)) + 1))
    plot = _Plot(times, width, 3 if len(kept) <= 4 else 2, zone)
    for name in dict.fromkeys(one.column.name for one in kept):
        console.print(Text(visible(name), style="bold cyan"))
        for number, one in enumerate(each for each in kept if each.column.name == name):
            colour = _COLOURS[number % len(_COLOURS)]
            label = _label(one.column)[:_WIDEST_LABEL].rjust(indent - 2)
            for row, blocks in enumerate(plot.rows(one.points)):
                line = Text(label if row == plot.height - 1 else " " * len(label))
                line.append(" │", style="dim").append(blocks, style=colour)
                line.append("  " + _summary(one, row, plot.height), style="dim" if row == 0 else "")
                line.rstrip()
                console.print(line, no_wrap=True, overflow="crop")
    console.print(Text(" " * (indent - 1) + "└" + plot.axis() + f" {zone}", style="dim"), no_wrap=True, overflow="crop")
    if plot.per_column > 1:
        console.print(Text(f"Each column is the mean of {plot.per_column} points.", style="dim"))
    if len(kept) < len(series):
        console.print(Text(f"The {len(kept)} largest of {len(series)} series are drawn; narrow the question."))


class _Plot:
    """Turns points into rows of blocks: each moment takes several columns, or each column averages several moments."""

    def __init__(self, times: Sequence[datetime], width: int, height: int, zone: tzinfo) -> None:
        self._zone = zone
        whole_days = all(in_zone(moment, zone).time() == time() for moment in times)
        self._form = "%d %b" if whole_days else "%d %b %H:%M"
        self.height = height
        self.per_column = -(-len(times) // width)
        self._columns_each = min(_MOST_COLUMNS_A_DAY, max(1, width // len(times)))
        self._buckets = [times[at : at + self.per_column] for at in range(0, len(times), self.per_column)]

    def rows(self, points: Points) -> Iterator[str]:
        """Return the rows from top to bottom. The highest value fills all of them; negative values are not drawn."""
        means = [_mean([points[moment] for moment in bucket if moment in points]) for bucket in self._buckets]
        top = max((mean for mean in means if mean is not None), default=0.0)
        levels = [
            None if mean is None else round(self.height * _STEPS * max(mean, 0.0) / top) if top > 0 else 0
            for mean in means
        ]
        for row in range(self.height):
            base = (self.height - 1 - row) * _STEPS
            yield "".join(self._cell(level, base) * self._columns_each for level in levels)

    def axis(self) -> str:
        """Return the line below the rows, with as many dates as fit."""
        text = ""
        length = len(self._buckets) * self._columns_each
        for index, bucket in enumerate(self._buckets):
            start = index * self._columns_each
            date = format(in_zone(bucket[0], self._zone), self._form)
            if start >= len(text) + (3 if text else 0) and start + len(date) <= max(length, len(date)):
                text = text.ljust(start, "─") + date
        return text.ljust(length, "─")

    @staticmethod
    def _cell(level: int | None, base: int) -> str:
        if level is None:
            return "·" if base == 0 else " "
        return _BLOCKS[min(max(level - base, 1 if base == 0 else 0), _STEPS)]


def _summary(series: _Series, row: int, height: int) -> str:
    values = list(series.points.values())
    unit = series.column.unit
    if row == height - 1:
        if unit == "percent" or unit.endswith("/h"):  # a sum of them is meaningless
            return f"mean {text_of(sum(values) / len(values), unit)}"
        return f"total {text_of(sum(values), unit)}"
    return f"max {text_of(max(values), unit)}" if row == 0 else ""


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _times(frame: DecodedFrame) -> list[datetime]:
    for column in frame.columns:
        if pa.types.is_timestamp(column.data.type):
            return [moment for moment in column.data.to_pylist() if moment is not None]
    return []


def _series(frame: DecodedFrame) -> Iterator[_Series]:
    times = _times(frame)
    for column in frame.columns:
        if pa.types.is_integer(column.data.type) or pa.types.is_floating(column.data.type):
            values = column.data.to_pylist()
            points = {at: float(value) for at, value in zip(times, values, strict=True) if value is not None}
            yield _Series(column, points)


def _label(column: FrameColumn) -> str:
    return visible(", ".join(column.labels.values())) or "all"
