"""Units. A few units are one body; many units are streamed, so rows are written while the database is read."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import pyarrow as pa

from ceems_grpc.domain.questions.model import UnitsQuestion
from ceems_grpc.domain.questions.window import make_window
from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.json_shapes import batch_json, with_new_columns
from ceems_grpc.rest.parameters import first, flag
from ceems_grpc.rest.responses import BEFORE_ROWS, HEADERS, after_rows, rows_response
from ceems_grpc.rest.route import ApiCall
from ceems_grpc.rest.row_shapes import UNIT_SHAPE
from ceems_grpc.schema import Table, Type, column_named, is_new_column
from ceems_grpc.store.columnar.json_rows import JsonText
from ceems_grpc.store.runtime.cancellation import check_cancelled

_ROWS_A_PART = 2048
_BYTES_A_PART = 128 * 1024  # gRPC holds back a larger message until its reader has taken half of it


async def units(call: ApiCall) -> ResourceResponse:
    """Respond with units, part by part. With uuids, the window does not matter."""
    given = call.parameters
    fields = call.fields
    question = UnitsQuestion(
        call.window if "uuid" not in given else make_window(None, None, call.now),
        call.selection,
        uuids=given.get("uuid", ()),
        running=flag(given, "running"),
        fields=fields,
        admin=call.admin,
    )
    warnings: list[str] = []
    texts = call.ceems.units_texts(call.viewer, question, first(given, "timezone"), warnings, _texts)
    begun = await anext(texts, b"")  # an error before the first rows becomes a status
    if len(begun) <= _BYTES_A_PART:
        following = await anext(texts, None)
        if following is None:
            return rows_response(begun, warnings)
        begun += b"," + following
    return ResourceResponse(200, HEADERS, _body(begun, texts, warnings))


async def _body(text: bytes, texts: AsyncGenerator[bytes, None], warnings: list[str]) -> AsyncGenerator[bytes, None]:
    between = BEFORE_ROWS
    async with aclosing(texts):  # stops the reading when the client has left
        while True:
            yield between + text[:_BYTES_A_PART]
            for start in range(_BYTES_A_PART, len(text), _BYTES_A_PART):
                yield text[start : start + _BYTES_A_PART]
            between = b","
            try:
                text = await anext(texts)
            except StopAsyncIteration:
                break
    yield after_rows(warnings)


def _texts(item: pa.RecordBatch | JsonText) -> Iterator[bytes]:
    """Yield rows as JSON joined by commas, at most 2,048 rows at a time."""
    if isinstance(item, JsonText):
        yield item.text
        return
    for start in range(0, item.num_rows, _ROWS_A_PART):
        check_cancelled()
        yield _json(item.slice(start, _ROWS_A_PART))


def _json(rows: pa.RecordBatch) -> bytes:
    new = [column_named(name, _type_of(rows.column(name))) for name in rows.schema.names if _is_new(name)]
    return batch_json(rows, with_new_columns(UNIT_SHAPE, new))


def _type_of(values: pa.Array) -> Type:
    if not pa.types.is_string(values.type):
        return Type.INTEGER if pa.types.is_integer(values.type) else Type.NUMBER
    # If a text of a new column is an object, it is written as one, whatever other rows hold.
    return Type.OBJECT if any((text or "").startswith("{") for text in values.to_pylist()) else Type.TEXT


def _is_new(name: str) -> bool:
    return is_new_column(Table.UNITS, name)
