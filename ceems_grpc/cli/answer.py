"""Answers of the plugin as this package prints them: data frames, decoded from the Arrow files that Grafana gets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a frame. ``unit`` is a unit id of Grafana's; ``labels`` tell apart fields of one name."""

    name: str
    data: pa.ChunkedArray
    unit: str
    labels: Mapping[str, str]

    @property
    def title(self) -> str:
        """The name with its labels, which no other field of the frame has."""
        inside = ", ".join(f"{key}={value}" for key, value in self.labels.items())
        return f"{self.name}{{{inside}}}" if inside else self.name


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame: its columns, all of one length, and what Grafana would warn of in the panel's corner."""

    name: str
    columns: tuple[Column, ...]
    notices: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        """Number of rows; 0 where there are no columns."""
        return len(self.columns[0].data) if self.columns else 0


def decode(frames: Sequence[bytes]) -> tuple[Answer, ...]:
    """Decode frames, each one Arrow IPC file as `ceems_grpc.grafana.data.frame.Frame.to_arrow` writes it."""
    return tuple(_answer(pa.ipc.open_file(pa.py_buffer(frame)).read_all()) for frame in frames)


def notices(answers: Sequence[Answer]) -> tuple[str, ...]:
    """Return the notices of all frames, each once."""
    return tuple(dict.fromkeys(text for answer in answers for text in answer.notices))


def _answer(table: pa.Table) -> Answer:
    metadata = table.schema.metadata or {}
    meta = json.loads(metadata.get(b"meta", b"{}"))
    columns = tuple(_column(field, data) for field, data in zip(table.schema, table.columns, strict=True))
    return Answer(
        metadata.get(b"name", b"").decode(), columns, tuple(str(notice["text"]) for notice in meta.get("notices", []))
    )


def _column(field: pa.Field, data: pa.ChunkedArray) -> Column:
    metadata = field.metadata or {}
    config = json.loads(metadata.get(b"config", b"{}"))
    return Column(field.name, data, str(config.get("unit", "")), json.loads(metadata.get(b"labels", b"{}")))
