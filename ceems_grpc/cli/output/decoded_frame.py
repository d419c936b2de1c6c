"""Answers of the plugin, ready to print: data frames, decoded from the Arrow files that Grafana gets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class FrameColumn:
    """A field of a frame. ``unit`` is one of Grafana's unit ids; ``labels`` distinguish fields of one name.

    Moments in ``data`` are in UTC and say so, with a resolution of microseconds: Python's own aware datetimes.
    """

    name: str
    data: pa.ChunkedArray
    unit: str
    labels: Mapping[str, str]

    @property
    def title(self) -> str:
        """The name with its labels, which is unique within the frame."""
        inside = ", ".join(f"{key}={value}" for key, value in self.labels.items())
        return f"{self.name}{{{inside}}}" if inside else self.name


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame: its columns, all of one length, and the notices that Grafana shows in the corner of the panel."""

    name: str
    columns: tuple[FrameColumn, ...]
    notices: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        """Number of rows; 0 if there are no columns."""
        return len(self.columns[0].data) if self.columns else 0


def decode(files: Sequence[bytes]) -> tuple[DecodedFrame, ...]:
    """Decode frames, each an Arrow IPC file as `ceems_grpc.grafana.data.frame.Frame.to_arrow` writes it."""
    return tuple(_frame(pa.ipc.open_file(pa.py_buffer(file)).read_all()) for file in files)


def notices(frames: Sequence[DecodedFrame]) -> tuple[str, ...]:
    """Return the notices of all frames without repetitions."""
    return tuple(dict.fromkeys(text for frame in frames for text in frame.notices))


def _frame(table: pa.Table) -> DecodedFrame:
    metadata = table.schema.metadata or {}
    meta = json.loads(metadata.get(b"meta", b"{}"))
    columns = tuple(_column(field, data) for field, data in zip(table.schema, table.columns, strict=True))
    return DecodedFrame(
        metadata.get(b"name", b"").decode(), columns, tuple(str(notice["text"]) for notice in meta.get("notices", []))
    )


def _column(field: pa.Field, data: pa.ChunkedArray) -> FrameColumn:
    metadata = field.metadata or {}
    config = json.loads(metadata.get(b"config", b"{}"))
    labels = json.loads(metadata.get(b"labels", b"{}"))
    return FrameColumn(field.name, _in_utc(data), str(config.get("unit", "")), labels)


def _in_utc(data: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return moments with their zone. Grafana's frames hold UTC without saying so, and Python reads that as naive."""
    if not pa.types.is_timestamp(data.type):
        return data
    return data.cast(pa.timestamp("us", data.type.tz or "UTC"), safe=False)
