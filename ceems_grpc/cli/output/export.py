"""Answers for other programs: CSV and JSON, with every column and full precision."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TextIO

from ceems_grpc.cli.output.decoded_frame import DecodedFrame
from ceems_grpc.cli.output.escaping import visible, visible_json, without_formula
from ceems_grpc.cli.output.values import iso_text


def write_csv(frames: Sequence[DecodedFrame], file: TextIO, zone: tzinfo = UTC, *, safe: bool = False) -> None:
    """Write CSV by RFC 4180: a heading, then a line for each row. Each of several frames fills its own columns.

    Moments are ISO 8601 texts with their offset from UTC in ``zone``. With ``safe``, texts that a spreadsheet would
    read as a formula start with an apostrophe. A terminal gets no control characters.
    """
    changes: list[Callable[[str], str]] = [without_formula] if safe else []
    if file.isatty():
        changes.append(visible)

    def cell(value: object) -> object:
        text = value.decode() if isinstance(value, bytes) else value
        for change in changes if isinstance(text, str) else ():
            text = change(str(text))
        return text

    titles = list(dict.fromkeys(column.title for frame in frames for column in frame.columns))
    # The csv module quotes cells that hold a character of the line end: with CRLF also a lone carriage return.
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(map(cell, titles))
    for frame in frames:
        for row in _rows(frame, zone):
            writer.writerow([cell(row.get(title, "")) for title in titles])


def write_json(frames: Sequence[DecodedFrame], file: TextIO, zone: tzinfo = UTC) -> None:
    """Write a list of one object per row. Moments are ISO 8601 texts with their offset from UTC in ``zone``.

    NaN and the infinities, which JSON does not have, are null.
    """
    separator = "[\n"
    for frame in frames:
        for row in _rows(frame, zone):
            plain = {title: _json_value(value) for title, value in row.items()}
            file.write(separator + visible_json(json.dumps(plain, ensure_ascii=False, allow_nan=False)))
            separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _rows(frame: DecodedFrame, zone: tzinfo) -> Iterator[dict[str, object]]:
    titles = [column.title for column in frame.columns]
    cells = [
        [iso_text(value, zone) if isinstance(value, datetime) else value for value in column.data.to_pylist()]
        for column in frame.columns
    ]
    return (dict(zip(titles, row, strict=True)) for row in zip(*cells, strict=True))


def _json_value(value: object) -> object:
    """Return a value that JSON can represent; bytes are JSON text, as in Grafana's JSON fields."""
    if isinstance(value, bytes):
        return _json_value(json.loads(value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    return value
