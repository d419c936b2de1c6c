"""The trace that a request belongs to, read from its gRPC metadata.

Grafana writes the trace context in one or both of two forms:

* ``traceparent: 00-<trace id>-<span id>-<flags>`` (and ``tracestate``), see www.w3.org/TR/trace-context
* ``uber-trace-id: <trace id>:<span id>:<parent>:<flags>``, Jaeger's, where leading zeros may be missing
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

_W3C = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_JAEGER = re.compile(r"([0-9a-fA-F]{1,32}):([0-9a-fA-F]{1,16}):[0-9a-fA-F]*:([0-9a-fA-F]{1,2})")

FORMATS = ("w3c", "jaeger")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of another process. The ids are never 0. ``state`` is W3C's ``tracestate``, passed on unchanged."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""

    @property
    def trace(self) -> str:
        """The trace's id in its usual form: 32 hexadecimal digits."""
        return f"{self.trace_id:032x}"


def trace_context(metadata: Mapping[str, str], formats: Iterable[str] = FORMATS) -> TraceContext | None:
    """Read the trace context, or return None. If several forms can be read, the last one in ``formats`` counts."""
    found = None
    for form in formats:
        read = _w3c(metadata) if form == "w3c" else _jaeger(metadata)
        found = read or found
    return found


def _w3c(metadata: Mapping[str, str]) -> TraceContext | None:
    match = _W3C.fullmatch(metadata.get("traceparent", "").strip())
    if match is None or (match[1] == "00" and match[5]):
        return None
    return _made(match[2], match[3], match[4], metadata.get("tracestate", "").strip())


def _jaeger(metadata: Mapping[str, str]) -> TraceContext | None:
    match = _JAEGER.fullmatch(unquote(metadata.get("uber-trace-id", "").strip()))
    return _made(match[1], match[2], match[3], "") if match else None


def _made(trace: str, span: str, flags: str, state: str) -> TraceContext | None:
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1), state)
