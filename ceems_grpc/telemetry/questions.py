"""Metrics and traces of questions: their number, duration, source of rows, and failures.

No label holds the name of a data source, a user or a project, so the number of series does not grow with the site.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

from ceems_grpc.domain.errors import ErrorType, QuestionError
from ceems_grpc.grafana.serve.telemetry.tracing import Attributes, add_span, is_recording
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.runtime.query_trace import QueryTrace, trace_query

SECONDS = Histogram(
    "ceems_question_duration_seconds",
    "Time to the answer of a question (of streamed units: to its first part), by what was asked and from where the"
    " rows came: mirror, database, or another engine; kept for an answer that was made before.",
    ["type", "store"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ERRORS = Counter(
    "ceems_question_errors",
    "Questions without an answer, by kind: question (it was wrong, or not allowed), store (the database cannot answer),"
    " busy (too many at once), timeout, internal (a defect of the plugin).",
    ["kind"],
)
STREAMS = Gauge("ceems_open_streams", "Live channels that run.")


@contextmanager
def counted(kind: str, *, spans: bool = True) -> Iterator[QueryTrace]:
    """Provide the trace of a question, count the question when it is answered, and add spans of its statements.

    ``kind``: the metric label, one of a few. Without ``spans``, the caller adds them when the statements have ended.
    """
    began = time.perf_counter()
    with trace_query() as trace:
        try:
            yield trace
            SECONDS.labels(kind, _store(trace)).observe(time.perf_counter() - began)
        finally:
            if spans:
                add_spans(trace)


def add_spans(trace: QueryTrace) -> None:
    """Record each statement as a span of the current query, without its parameters."""
    if not is_recording():
        return
    for statement in trace.statements:
        attributes: Attributes = {
            "db.system.name": statement.engine,
            "db.query.text": statement.text,
            "db.response.returned_rows": statement.rows,
            "ceems.store": statement.store,
        }
        add_span(f"statement {statement.store}", statement.began, statement.seconds, attributes)


@contextmanager
def failures_counted() -> Iterator[None]:
    """Count exceptions that the block raises, except cancellations, which mean that the client has left."""
    try:
        yield
    except Exception as error:
        count_failure(error)
        raise


def count_failure(error: BaseException) -> None:
    """Count a question that failed."""
    ERRORS.labels(failure_kind(error)).inc()


def failure_kind(error: BaseException) -> str:
    """Return the metric label for a failure."""
    match error:
        case QuestionError(type=ErrorType.TIMEOUT) | TimeoutError():
            return "timeout"
        case QuestionError(type=ErrorType.UNAVAILABLE) | StoreBusyError():
            return "busy"
        case QuestionError():
            return "question"
        case StoreError():
            return "store"
    return "internal"


def _store(trace: QueryTrace) -> str:
    """Return the source of the answer. Statements do not show it, because rights are read for cached answers too."""
    if trace.kept_for is not None:
        return "kept"
    if trace.shared:
        return "shared"
    engines = {_PLACES.get(statement.engine, statement.engine) for statement in trace.statements}
    return "+".join(sorted(engines)) or "none"


_PLACES = {"duckdb": "mirror", "arrow": "mirror", "sqlite": "database"}
