"""One request being answered: its id in the log, its span, its metrics, and the errors that the user sees."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.backend.errors import ErrorSource, PluginError
from ceems_grpc.grafana.backend.sent import collect_due
from ceems_grpc.grafana.serve.services.rpc import metadata_of, request_id
from ceems_grpc.grafana.serve.telemetry import metrics
from ceems_grpc.grafana.serve.telemetry.logs import log_fields
from ceems_grpc.grafana.serve.telemetry.tracing import Attributes, mark_failed, request_span

_log = logging.getLogger(__name__)

_Rpc = grpc.aio.ServicerContext[Any, Any]

# What a data source may raise. This includes cancellation: another caller may cancel work that several callers share.
FAILURES = (Exception, asyncio.CancelledError)


class Call:
    """A request; ``endpoint`` is Grafana's word for its kind, such as ``queryData``."""

    def __init__(self, endpoint: str, request_id: str) -> None:
        self.endpoint = endpoint
        self.request_id = request_id
        self.error: PluginError | None = None

    def failure(self, error: BaseException) -> PluginError:
        """Convert an exception to an error that the user may read, and count it.

        A cancellation of the current task is raised again. Anything but a ``PluginError`` is logged with its traceback.
        """
        check_cancelled(error)
        failure = _plugin_error(error)
        if failure is None:
            _log.error("a request failed unexpectedly", exc_info=error)
            failure = PluginError(
                f"The plugin failed unexpectedly. Its log tells why under the request id {self.request_id}."
            )
        if self.error is None or failure.source is ErrorSource.PLUGIN:
            self.error = failure
        metrics.ERRORS.labels(self.endpoint, str(failure.status), failure.source.value).inc()
        return failure


@contextmanager
def answering(
    endpoint: str, context: PluginContext, rpc: _Rpc, headers: Mapping[str, str] | None = None
) -> Iterator[Call]:
    """Count and time a request, record its span, and add its id to every log line inside the block.

    ``headers`` are those of the request to Grafana, if there was one. The user is logged at level debug only.
    """
    metadata = metadata_of(rpc)
    call = Call(endpoint, request_id(metadata, headers or {}))
    uid = context.data_source.uid if context.data_source else ""
    login = context.user.login if context.user else ""
    due = collect_due()
    rpc.add_done_callback(lambda _: _run_all(due))  # type: ignore[arg-type] # the stubs ask for a class of theirs
    started = time.perf_counter()
    status = "ok"
    attributes: Attributes = {
        "grafana.org.id": context.org_id,
        "grafana.datasource.uid": uid,
        "request.id": call.request_id,
    }
    with (
        log_fields(requestId=call.request_id, endpoint=endpoint, orgId=context.org_id, dsUID=uid),
        request_span(endpoint, metadata, attributes) as span,
    ):
        try:
            yield call
            status = "error" if call.error else "ok"
        except asyncio.CancelledError:
            status = "cancelled"
            raise
        except BaseException:
            status = "error"
            raise
        finally:
            seconds = time.perf_counter() - started
            source = call.error.source if call.error else ErrorSource.PLUGIN
            metrics.REQUESTS.labels(endpoint, status, source.value).inc()
            metrics.SECONDS.labels(endpoint).observe(seconds)
            if status != "ok":
                mark_failed(span, call.error.message if call.error else status)
            _log.debug("answered", extra={"status": status, "duration": f"{seconds * 1000:.1f}ms", "user": login})


def _run_all(callbacks: Sequence[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()


def check_cancelled(error: BaseException) -> None:
    """Raise the exception again if it is a cancellation of the current task."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


def _plugin_error(error: BaseException) -> PluginError | None:
    """Find the ``PluginError``, also if a task group has wrapped it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, PluginError):
        # Grafana takes an empty error text for success.
        return error if error.message else PluginError("The request failed.", status=error.status, source=error.source)
    return None
