"""Answers as tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import pyarrow as pa

from ceems_grpc.cli.decoded_frame import DecodedFrame, FrameColumn
from ceems_grpc.cli.values import text_of

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST_CELL = 36  # a UUID
_WIDEST_HEADING_PART = 16
_BETWEEN = 2
_MOST_NAMES = 10


def print_table(console: Console, frame: DecodedFrame) -> None:
    """Print a frame as a table: as many columns as fit, and below it which do not.

    Columns that are empty in all rows are not shown either, so that the others have room.
    """
    from rich import box  # noqa: PLC0415 - of an extra
    from rich.table import Table  # noqa: PLC0415 - of an extra
    from rich.text import Text  # noqa: PLC0415 - of an extra

    if not frame.num_rows:
        console.print("No rows.", style="yellow")
        return
    cells = {index: _cells(column) for index, column in enumerate(frame.columns)}
    filled = [index for index, texts in cells.items() if any(texts)]
    shown, left = _fitting(frame.columns, cells, filled, console.width)
    # One of the spaces between columns is the box's own.
    padding = (0, _BETWEEN - 1, 0, 0)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding, header_style="bold cyan")
    for index in shown:
        column = frame.columns[index]
        justify = "right" if _is_number(column.data.type) else "left"
        heading = Text("\n".join(_heading(column)))
        table.add_column(heading, justify=justify, vertical="bottom", no_wrap=True)  # type: ignore[arg-type]
    for row in zip(*(cells[index] for index in shown), strict=True):
        table.add_row(*map(Text, row))
    console.print(table)
    if left:
        names = ", ".join(frame.columns[index].title for index in left[:_MOST_NAMES])
        names += f" and {len(left) - _MOST_NAMES} more" if len(left) > _MOST_NAMES else ""
        console.print(Text(f"Not shown for lack of room: {names}."), style="dim")


def _fitting(
    columns: Sequence[FrameColumn], cells: dict[int, list[str]], filled: list[int], width: int
) -> tuple[list[int], list[int]]:
    """Return the columns that fit side by side, in their order, and the filled ones that do not."""
    shown: list[int] = []
    used = 0
    for index in filled:
        need = max(map(len, cells[index] + _heading(columns[index]))) + _BETWEEN
        if shown and used + need > width:
            break
        shown.append(index)
        used += need
    return shown, filled[len(shown) :]


def _cells(column: FrameColumn) -> list[str]:
    values = column.data.to_pylist()
    moments = [value for value in values if isinstance(value, datetime)]
    if moments and all(moment.astimezone(UTC).time() == time() for moment in moments):
        return ["" if value is None else f"{value.astimezone(UTC):%Y-%m-%d}" for value in values]
    return [_cut(text_of(value, column.unit)) for value in values]


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST_CELL else line[: _WIDEST_CELL - 1] + "…"


def _heading(column: FrameColumn) -> list[str]:
    """Break a long name at its dots and underscores; labels get lines of their own."""
    lines: list[str] = []
    for part in column.name.split("."):
        line = ""
        for word in part.replace("_", "_ ").split(" "):
            if line and len(line) + len(word) > _WIDEST_HEADING_PART:
                lines.append(line)
                line = ""
            line += word
        lines.append(line)
    if pa.types.is_timestamp(column.data.type):
        lines[-1] += " (UTC)"
    return lines + [_cut(value) for value in column.labels.values()]


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))
