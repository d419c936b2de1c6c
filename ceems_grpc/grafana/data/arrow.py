"""Writes a frame as an Arrow IPC file.

Grafana's reader (grafana-plugin-sdk-go, data/arrow.go) needs the file format, not the stream format. The schema's
metadata holds the frame's name, refId and meta; each field's metadata holds its labels, config and `tstype`. Meta,
labels and config are JSON texts. A file always has exactly one record batch: the SDK's conversion to JSON reads only
the first batch, and fails if there is none.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

if TYPE_CHECKING:
    from ceems_grpc.grafana.data.columns import SentColumn
    from ceems_grpc.grafana.data.field import Field
    from ceems_grpc.grafana.data.metadata import FrameHeader

# Columns of this many bytes or more are compressed; the reader decompresses them by itself. gRPC copies every frame
# several times, which takes longer than compressing it.
_LARGE = 4 * 1024 * 1024
_ENCODER = msgspec.json.Encoder(order="sorted")


def encode(header: FrameHeader, fields: Sequence[Field]) -> bytes:
    """Return a frame as the bytes of one Arrow IPC file (see `Frame.to_arrow`)."""
    columns = [field.column() for field in fields]
    metadata = {"name": header.name, "refId": header.ref_id}
    if header.meta is not None:
        metadata["meta"] = _text(header.meta)
    schema = pa.schema(
        [_arrow_field(field, column) for field, column in zip(fields, columns, strict=True)], metadata=metadata
    )
    batch = pa.RecordBatch.from_arrays([column.array for column in columns], schema=schema)
    sink = io.BytesIO()  # returns its bytes without a copy, unlike Arrow's own buffers
    options = pa.ipc.IpcWriteOptions(compression="lz4" if batch.nbytes >= _LARGE else None)
    with pa.ipc.new_file(sink, schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _arrow_field(field: Field, column: SentColumn) -> pa.Field:
    metadata = {"tstype": column.type.simple}
    if field.labels:
        metadata["labels"] = _text(dict(field.labels))
    if field.config is not None:
        metadata["config"] = _text(field.config)
    return pa.field(field.name, column.array.type, column.nullable, metadata)


def _text(value: object) -> str:
    return _ENCODER.encode(value).decode()
