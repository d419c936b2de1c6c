"""Responses in the envelope of the CEEMS API: ``status``, ``data``, ``warnings``, or an error."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec
import pyarrow as pa

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.errors import ErrorType
from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.json_shapes import Shape, batch_json, table_json, with_new_columns
from ceems_grpc.store.errors import StoreBusyError, StoreError

_log = logging.getLogger(__name__)

HEADERS = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
BEFORE_ROWS = b'{"status":"success","data":['


def after_rows(warnings: Iterable[str]) -> bytes:
    """Return what follows the last row."""
    texts = list(warnings)
    return b"]" + (b',"warnings":' + msgspec.json.encode(texts) if texts else b"") + b"}\n"


def rows_response(rows: bytes, warnings: Iterable[str] = ()) -> ResourceResponse:
    """Respond with rows, which are JSON joined by commas."""
    return ResourceResponse(200, HEADERS, BEFORE_ROWS + rows + after_rows(warnings))


def batch_response(batch: pa.RecordBatch, shape: Shape) -> ResourceResponse:
    """Respond with the rows of a batch whose JSON columns are the texts of the database."""
    return rows_response(batch_json(batch, shape))


async def answer_response(answer: Answer, shape: Shape) -> ResourceResponse:
    """Respond with an answer; ``Expires`` says until when a cached one is valid."""
    rows = await answer.written(lambda whole: table_json(whole.table, with_new_columns(shape, whole.columns.values())))
    response = rows_response(rows, answer.notices)
    if answer.expires is None:
        return response
    expires = format_datetime(datetime.fromtimestamp(answer.expires, UTC), usegmt=True)
    return ResourceResponse(200, {**HEADERS, "Expires": expires}, response.body)


def null_response() -> ResourceResponse:
    """Respond with success and no data."""
    return ResourceResponse(200, HEADERS, b'{"status":"success","data":null}\n')


def error_response(status: int, error_type: str, message: str) -> ResourceResponse:
    """Respond with an error as the API writes it."""
    body = {"status": "error", "data": None, "errorType": error_type, "error": message}
    return ResourceResponse(status, HEADERS, msgspec.json.encode(body) + b"\n")


def failure_response(error: StoreError) -> ResourceResponse:
    """Log why the database did not answer, and respond without the details."""
    _log.warning("the database did not answer", extra={"detail": error.detail})
    if isinstance(error, StoreBusyError):
        return error_response(503, ErrorType.UNAVAILABLE, str(error))
    return error_response(500, ErrorType.INTERNAL, str(error))
