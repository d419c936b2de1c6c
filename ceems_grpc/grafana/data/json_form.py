"""Writes a frame in Grafana's JSON format, as `FrameToJSON` of grafana-plugin-sdk-go (data/frame_json.go) does.

    {"schema": {"name", "refId", "meta", "fields": [{"name", "type", "typeInfo", "labels", "config"}]},
     "data": {"values": [[...], ...], "entities": [...], "nanos": [...]}}

`values` has one list per field. A time is in whole milliseconds since 1970 (UTC); `nanos` holds the rest, from 0 to
999999 nanoseconds. JSON has no NaN and no infinity: such cells are null, and `entities` lists their rows. Both
`entities` and `nanos` have one entry per field, which is null if the field needs none. They are left out if no field
needs them. The order of the keys matters: Grafana's reader needs the schema before the data, and `values` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.grafana.data.columns import TIMESTAMP, SentColumn

if TYPE_CHECKING:
    from ceems_grpc.grafana.data.field import Field
    from ceems_grpc.grafana.data.metadata import FrameHeader

_NANOS_PER_MILLI = 1_000_000


def encode(header: FrameHeader | None, fields: Sequence[Field], *, data: bool) -> bytes:
    """Return a frame's schema (if there is a header), its data, or both as JSON (see `Frame.to_json`)."""
    columns = [field.column() for field in fields]
    parts: dict[str, Any] = {}
    if header is not None:
        parts["schema"] = _schema(header, fields, columns)
    if data:
        parts["data"] = _data(fields, columns)
    return msgspec.json.encode(parts)


def _schema(header: FrameHeader, fields: Sequence[Field], columns: Sequence[SentColumn]) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if header.name:
        schema["name"] = header.name
    if header.ref_id:
        schema["refId"] = header.ref_id
    if header.meta is not None:
        schema["meta"] = header.meta
    schema["fields"] = [_field(field, column) for field, column in zip(fields, columns, strict=True)]
    return schema


def _field(field: Field, column: SentColumn) -> dict[str, Any]:
    described: dict[str, Any] = {"name": field.name} if field.name else {}
    described["type"] = column.type.simple
    described["typeInfo"] = {"frame": column.type.item} | ({"nullable": True} if column.nullable else {})
    if field.labels:
        described["labels"] = dict(sorted(field.labels.items()))
    if field.config is not None:
        described["config"] = field.config
    return described


def _data(fields: Sequence[Field], columns: Sequence[SentColumn]) -> dict[str, Any]:
    values: list[Any] = []
    entities: list[dict[str, list[int]] | None] = [None] * len(columns)
    nanos: list[list[int] | None] = [None] * len(columns)
    for index, column in enumerate(columns):
        array = column.array
        if array.type == TIMESTAMP:
            millis, nanos[index] = _time(array)
            values.append(millis)
        elif pa.types.is_floating(array.type):
            values.append(_floats(array))
            entities[index] = _entities(array)
        elif pa.types.is_string(array.type):
            values.append(_texts(array))
        elif pa.types.is_binary(array.type):
            values.append(_json_cells(fields[index].name, array))
        else:
            values.append(array.to_pylist())
    data: dict[str, Any] = {"values": values}
    if any(entry is not None for entry in entities):
        data["entities"] = entities
    if any(entry is not None for entry in nanos):
        data["nanos"] = nanos
    return data


def _time(array: pa.Array) -> tuple[list[int | None], list[int] | None]:
    """Return milliseconds, rounded down, and the remaining nanoseconds, or None if all of these are 0.

    A null stays null in the milliseconds and is 0 in the nanoseconds.
    """
    nanoseconds = array.view(pa.int64())
    quotient = pc.divide(nanoseconds, _NANOS_PER_MILLI)  # rounds towards zero: a time before 1970 needs one less
    rest = pc.subtract(nanoseconds, pc.multiply(quotient, _NANOS_PER_MILLI))
    before = pc.less(rest, 0)
    millis = pc.if_else(before, pc.subtract(quotient, 1), quotient)
    rest = pc.if_else(before, pc.add(rest, _NANOS_PER_MILLI), rest).fill_null(0)
    return millis.to_pylist(), rest.to_pylist() if pc.any(pc.not_equal(rest, 0)).as_py() else None


def _floats(array: pa.Array) -> list[float | None]:
    """Return the numbers; the encoder writes NaN and infinities as null."""
    if array.type == pa.float32():
        # As a float64, a float32 has a much longer shortest text (0.10000000149011612 instead of 0.1).
        array = array.cast(pa.string()).cast(pa.float64())
    return list(array.to_pylist())


def _entities(array: pa.Array) -> dict[str, list[int]] | None:
    """Return the rows that hold NaN, infinity or minus infinity, or None if there are none."""
    if pc.all(pc.is_finite(array), min_count=0).as_py():
        return None
    kinds = {
        "NaN": pc.is_nan(array),
        "Inf": pc.equal(array, pa.scalar(float("inf"), array.type)),
        "NegInf": pc.equal(array, pa.scalar(float("-inf"), array.type)),
    }
    rows = {kind: pc.indices_nonzero(mask).to_pylist() for kind, mask in kinds.items()}
    return {kind: found for kind, found in rows.items() if found}


def _texts(array: pa.Array) -> list[str | None]:
    try:
        return list(array.to_pylist())
    except UnicodeDecodeError:
        # A database may hold text in any encoding, and Arrow does not check it. Go uses the same replacement.
        cells = array.cast(pa.binary()).to_pylist()
        return [None if cell is None else cell.decode(errors="replace") for cell in cells]


def _json_cells(name: str, array: pa.Array) -> list[msgspec.Raw | None]:
    """Return JSON texts unchanged. Raises ValueError for a cell that is not JSON: it would break the whole frame."""
    cells: list[msgspec.Raw | None] = []
    decoder = msgspec.json.Decoder(msgspec.Raw)
    for row, cell in enumerate(array.to_pylist()):
        try:
            cells.append(None if cell is None else decoder.decode(cell))
        except msgspec.DecodeError as error:
            raise ValueError(f"field {name!r}, row {row}: the cell is not JSON text: {error}") from error
    return cells
