"""Sends spans by OTLP over gRPC with OpenTelemetry's SDK. Imported only if traces are sent."""

import logging
import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from ceems_grpc.grafana.serve.telemetry.trace_context import TraceContext, trace_context

_log = logging.getLogger(__name__)

_EXPORT_SECONDS = 5.0  # for one attempt, retries included
_DELAY_MILLISECONDS = 2_000  # a batch collects spans for this long
_NANOSECONDS = 1_000_000_000

OpenSpan = trace.Span


class Exporting:
    """A tracer, and the thread that sends its spans in batches. Spans that cannot be sent are dropped."""

    def __init__(self, address: str, formats: tuple[str, ...], root: Sampler, *, name: str, version: str) -> None:
        """Connect in the background. ``formats`` are the forms of trace contexts; ``root`` samples new traces."""
        # The SDK logs each failure to send; `_Telling` logs the first one only.
        library = logging.getLogger("opentelemetry")
        library.propagate = False
        library.addHandler(logging.NullHandler())
        self._formats = formats
        self._exporter = _Telling(address)
        self._processor = BatchSpanProcessor(self._exporter, schedule_delay_millis=_DELAY_MILLISECONDS)
        described = {
            "service.name": name,
            "service.version": version,
            "telemetry.sdk.language": "python",
            "process.runtime.version": platform.python_version(),
        }
        provider = TracerProvider(sampler=ParentBased(root), resource=Resource(described), shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer(name, version)

    def parent_of(self, metadata: Mapping[str, str]) -> Context:
        """Return the trace context in a request's metadata, or an empty context, which begins a new trace."""
        found = trace_context(metadata, self._formats)
        if found is None:
            return Context()
        return trace.set_span_in_context(NonRecordingSpan(_remote(found)), Context())

    @contextmanager
    def span(self, name: str, attributes: Attributes, parent: Context | None = None) -> Iterator[OpenSpan]:
        """Record the block as a child of ``parent``, or of the open span if there is no ``parent``."""
        kind = SpanKind.INTERNAL if parent is None else SpanKind.SERVER
        # Messages of exceptions may contain paths and statements; `fail` records failures without them.
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as opened:
            yield opened

    def fail(self, opened: OpenSpan, message: str) -> None:
        """Mark a span as failed."""
        opened.set_status(Status(StatusCode.ERROR, message))

    def outgoing(self) -> dict[str, str]:
        """Return W3C's trace context of the open span, as metadata."""
        metadata: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(metadata)
        return metadata

    def is_recording(self) -> bool:
        """Return whether the open span will be sent."""
        return trace.get_current_span().is_recording()

    def add(self, name: str, began: float, seconds: float, attributes: Attributes) -> None:
        """Record work that has ended; ``began`` is in seconds since 1970."""
        start = int(began * _NANOSECONDS)
        self._tracer.start_span(name, attributes=attributes, start_time=start).end(start + int(seconds * _NANOSECONDS))

    def stop(self, seconds: float) -> None:
        """Send the remaining spans for at most this many seconds. Spans that end later are dropped."""
        # Flushing has no time limit of its own.
        flushing = threading.Thread(target=self._processor.force_flush, name="last spans", daemon=True)
        flushing.start()
        flushing.join(seconds)
        self._exporter.shutdown()


def sampler(kind: str, parameter: float) -> Sampler:
    """Return a sampler that does the same as Grafana's of that kind. Raises ValueError for an unknown kind.

    In Grafana, ``remote`` asks a server; here it is its fallback, a share of the traces. For traces that Grafana began,
    Grafana's decision counts in any case.
    """
    match kind:
        case "" | "const":
            return ALWAYS_ON if parameter >= 1 else ALWAYS_OFF
        case "probabilistic" | "remote":
            if not 0 <= parameter <= 1:
                raise ValueError(f"a share of traces is from 0 to 1, not {parameter:g}")
            return TraceIdRatioBased(parameter)
        case "rateLimiting":
            return _RateLimit(parameter)
    raise ValueError(f"there is no sampler '{kind}': use const, probabilistic, rateLimiting or remote")


class _RateLimit(Sampler):
    """Keeps a number of new traces per second on average, and never more than that number at once."""

    def __init__(self, a_second: float) -> None:
        self._a_second = a_second
        self._left = self._most = max(a_second, 1.0)
        self._then = time.monotonic()
        self._lock = threading.Lock()

    def should_sample(  # noqa: PLR0917 - as the SDK calls it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        with self._lock:
            now = time.monotonic()
            self._left = min(self._most, self._left + (now - self._then) * self._a_second)
            self._then = now
            kept = self._left >= 1
            self._left -= kept
        return SamplingResult(Decision.RECORD_AND_SAMPLE if kept else Decision.DROP, attributes, trace_state)

    def get_description(self) -> str:
        return f"RateLimit({self._a_second:g})"


class _Telling(SpanExporter):
    """Sends spans. Logs once when sending fails, and once when it works again."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._exporter = OTLPSpanExporter(endpoint=address, insecure=True, timeout=_EXPORT_SECONDS)
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            _log.warning("the collector of traces does not answer; spans are dropped", extra={"address": self._address})
        elif self._failing and not failing:
            _log.info("the collector of traces answers again", extra={"address": self._address})
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _remote(found: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if found.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([found.state]) if found.state else None
    return SpanContext(found.trace_id, found.span_id, is_remote=True, trace_flags=flags, trace_state=state)
