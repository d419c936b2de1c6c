"""Answers as tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, tzinfo
from typing import TYPE_CHECKING

import pyarrow as pa

from ceems_grpc.cli.output.decoded_frame import DecodedFrame, FrameColumn
from ceems_grpc.cli.output.escaping import visible
from ceems_grpc.cli.output.values import in_zone, text_of

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST_CELL = 36  # a UUID
_WIDEST_HEADING_PART = 16
_BETWEEN = 2
_MOST_NAMES = 10


def print_table(console: Console, frame: DecodedFrame, zone: tzinfo = UTC) -> None:
    """Print a frame as a table of as many columns as fit, and name the others below it.

    Columns that are empty in all rows are left out to make room. Moments are in ``zone``, which the heading names.
    """
    from rich import box  # noqa: PLC0415 - of an extra
    from rich.table import Table  # noqa: PLC0415 - of an extra
    from rich.text import Text  # noqa: PLC0415 - of an extra

    if not frame.num_rows:
        console.print("No rows.", style="yellow")
        return
    cells = {index: _cells(column, zone) for index, column in enumerate(frame.columns)}
    headings = {index: _heading(column, zone) for index, column in enumerate(frame.columns)}
    filled = [index for index, texts in cells.items() if any(texts)]
    shown, left = _fitting(headings, cells, filled, console.width)
    # One of the spaces between columns is the box's own.
    padding = (0, _BETWEEN - 1, 0, 0)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding, header_style="bold cyan")
    for index in shown:
        column = frame.columns[index]
        justify = "right" if _is_number(column.data.type) else "left"
        heading = Text("\n".join(headings[index]))
        table.add_column(heading, justify=justify, vertical="bottom", no_wrap=True)  # type: ignore[arg-type]
    for row in zip(*(cells[index] for index in shown), strict=True):
        table.add_row(*map(Text, row))
    console.print(table)
    if left:
        names = ", ".join(visible(frame.columns[index].title) for index in left[:_MOST_NAMES])
        names += f" and {len(left) - _MOST_NAMES} more" if len(left) > _MOST_NAMES else ""
        console.print(Text(f"Not shown for lack of room: {names}."), style="dim")


def _fitting(
    headings: dict[int, list[str]], cells: dict[int, list[str]], filled: Sequence[int], width: int
) -> tuple[list[int], list[int]]:
    """Return which of the filled columns fit side by side, in their order, and which do not."""
    shown: list[int] = []
    used = 0
    for index in filled:
        need = max(map(len, cells[index] + headings[index])) + _BETWEEN
        if shown and used + need > width:
            break
        shown.append(index)
        used += need
    return shown, list(filled[len(shown) :])


def _cells(column: FrameColumn, zone: tzinfo) -> list[str]:
    values = column.data.to_pylist()
    moments = [in_zone(value, zone) for value in values if isinstance(value, datetime)]
    if moments and all(moment.time() == time() for moment in moments):
        return ["" if value is None else f"{in_zone(value, zone):%Y-%m-%d}" for value in values]
    return [_cut(text_of(value, column.unit, zone)) for value in values]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "…"


def _heading(column: FrameColumn, zone: tzinfo) -> list[str]:
    """Return the lines of a heading: the name, broken at dots and underscores, and each label on its own line."""
    lines: list[str] = []
    for part in visible(column.name).split("."):
        line = ""
        for word in part.replace("_", "_ ").split(" "):
            if line and len(line) + len(word) > _WIDEST_HEADING_PART:
                lines.append(line)
                line = ""
            line += word
        lines.append(line)
    if pa.types.is_timestamp(column.data.type):
        lines[-1] += f" ({zone})"
    return lines + [_cut(text_of(value)) for value in column.labels.values()]


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))
