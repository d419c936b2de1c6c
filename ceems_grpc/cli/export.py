"""Answers for other programs: CSV and JSON, with every column and full precision."""

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from ceems_grpc.cli.decoded_frame import DecodedFrame


def write_csv(frames: Sequence[DecodedFrame], file: TextIO) -> None:
    """Write a heading and one line per row; several frames follow each other, each filling its own columns."""
    titles = list(dict.fromkeys(column.title for frame in frames for column in frame.columns))
    writer = csv.DictWriter(file, titles, restval="", lineterminator="\n")
    writer.writeheader()
    for frame in frames:
        writer.writerows(_rows(frame))


def write_json(frames: Sequence[DecodedFrame], file: TextIO) -> None:
    """Write a list of one object per row. Moments are texts in UTC, such as ``2026-11-23T09:37:30Z``."""
    separator = "[\n"
    for frame in frames:
        for row in _rows(frame):
            file.write(separator + json.dumps(row, ensure_ascii=False, allow_nan=False))
            separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _rows(frame: DecodedFrame) -> Iterator[dict[str, object]]:
    titles = [column.title for column in frame.columns]
    cells = [[_plain(value) for value in column.data.to_pylist()] for column in frame.columns]
    return (dict(zip(titles, row, strict=True)) for row in zip(*cells, strict=True))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return value
