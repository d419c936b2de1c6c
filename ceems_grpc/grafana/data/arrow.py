"""Writes a frame as an Arrow IPC file.

Grafana's reader (grafana-plugin-sdk-go, data/arrow.go) wants the file format, not the stream format. Name, refId and
meta stand in the schema's metadata; labels, config and `tstype` in each field's, as JSON texts. There is always exactly
one record batch: the SDK's conversion to JSON looks at the first one only, and fails where there is none.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from ceems_grpc.grafana.data.columns import SentColumn

if TYPE_CHECKING:
    from ceems_grpc.grafana.data.frame import Field, Frame

# From so many bytes on, columns are compressed, which the reader undoes by itself: gRPC copies every frame several
# times, and that takes longer than compressing it.
_LARGE = 4 * 1024 * 1024
_ENCODER = msgspec.json.Encoder(order="sorted")


def encode(frame: Frame) -> bytes:
    """Return `frame` as the bytes of one Arrow IPC file (see `Frame.to_arrow`)."""
    columns = [field.column() for field in frame.fields]
    schema = pa.schema(
        [_arrow_field(field, column) for field, column in zip(frame.fields, columns, strict=True)],
        metadata=_frame_metadata(frame),
    )
    batch = pa.RecordBatch.from_arrays([column.array for column in columns], schema=schema)
    sink = io.BytesIO()  # hands its bytes out without a copy, which Arrow's own buffers do not
    options = pa.ipc.IpcWriteOptions(compression="lz4" if batch.nbytes >= _LARGE else None)
    with pa.ipc.new_file(sink, schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _frame_metadata(frame: Frame) -> dict[str, str]:
    metadata = {"name": frame.name, "refId": frame.ref_id}
    if frame.meta is not None:
        metadata["meta"] = _text(frame.meta.as_json())
    return metadata


def _arrow_field(field: Field, column: SentColumn) -> pa.Field:
    metadata = {"tstype": column.type.simple}
    if field.labels:
        metadata["labels"] = _text(dict(field.labels))
    if field.config is not None:
        metadata["config"] = _text(field.config.as_json())
    return pa.field(field.name, column.array.type, column.nullable, metadata)


def _text(value: object) -> str:
    return _ENCODER.encode(value).decode()
