"""Traces: spans for requests, for their queries and for the steps of a query, sent where Grafana sends its own.

Grafana passes the address in ``GF_INSTANCE_OTLP_ADDRESS`` (``[tracing.opentelemetry.otlp]`` of grafana.ini). Without it
nothing is recorded, OpenTelemetry is not imported, and a span costs almost nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ceems_grpc.grafana.serve.telemetry.trace_context import FORMATS

if TYPE_CHECKING:
    from ceems_grpc.grafana.serve.telemetry.otlp import Exporting, OpenSpan

_log = logging.getLogger(__name__)

Attributes = Mapping[str, str | int | float | bool]


class _Tracing:
    """This process's exporter, None when no spans are sent."""

    exporting: Exporting | None = None


def start_tracing(environment: Mapping[str, str], *, name: str, version: str) -> None:
    """Send spans from now on if Grafana has passed an address. Settings that cannot be used are logged.

    ``name`` and ``version`` describe the service in the traces. pkg/plugins/config/tracing.go of Grafana has the
    settings.
    """
    address = environment.get("GF_INSTANCE_OTLP_ADDRESS", "").strip()
    if not address or _Tracing.exporting is not None:
        return
    from ceems_grpc.grafana.serve.telemetry.otlp import Exporting, sampler  # noqa: PLC0415 importing it takes 0.1 s

    kind = environment.get("GF_INSTANCE_OTLP_SAMPLER_TYPE", "").strip()
    parameter = environment.get("GF_INSTANCE_OTLP_SAMPLER_PARAM", "").strip() or "1"
    try:
        chosen = sampler(kind, float(parameter))
    except ValueError as error:
        _log.warning("no traces are sent: the sampler cannot be used", extra={"detail": str(error)})
        return
    _Tracing.exporting = Exporting(address, _formats(environment), chosen, name=name, version=version)
    _log.info("traces are sent", extra={"address": address})


def stop_tracing(seconds: float) -> None:
    """Send the remaining spans for at most this many seconds, and stop. Blocks."""
    exporting, _Tracing.exporting = _Tracing.exporting, None
    if exporting is not None:
        exporting.stop(seconds)


@contextmanager
def request_span(name: str, metadata: Mapping[str, str], attributes: Attributes) -> Iterator[OpenSpan | None]:
    """Record the block as a span of the trace that the request's metadata name, or as a new trace."""
    exporting = _Tracing.exporting
    if exporting is None:
        yield None
        return
    with exporting.span(name, attributes, exporting.parent_of(metadata)) as opened:
        yield opened


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[OpenSpan | None]:
    """Record the block as a child of the span that is open in this context. Yield None if nothing is recorded."""
    exporting = _Tracing.exporting
    if exporting is None:
        yield None
        return
    with exporting.span(name, attributes) as opened:
        yield opened


def mark_failed(opened: OpenSpan | None, message: str) -> None:
    """Mark a span as failed. The message must be one that the user was shown."""
    if opened is not None and _Tracing.exporting is not None:
        _Tracing.exporting.fail(opened, message)


def outgoing_trace() -> dict[str, str]:
    """Return the metadata with which another process continues the open span; empty if nothing is recorded."""
    return {} if _Tracing.exporting is None else _Tracing.exporting.outgoing()


def is_recording() -> bool:
    """Return whether `add_span` would record anything. If not, its attributes need not be made."""
    return _Tracing.exporting is not None and _Tracing.exporting.is_recording()


def add_span(name: str, began: float, seconds: float, attributes: Attributes) -> None:
    """Record work that has ended as a child of the open span; ``began`` is in seconds since 1970."""
    if _Tracing.exporting is not None:
        _Tracing.exporting.add(name, began, seconds, attributes)


def _formats(environment: Mapping[str, str]) -> tuple[str, ...]:
    wanted = [part.strip() for part in environment.get("GF_INSTANCE_OTLP_PROPAGATION", "").split(",")]
    unknown = [part for part in wanted if part and part not in FORMATS]
    if unknown:
        _log.warning("trace contexts of unknown forms are not read", extra={"forms": unknown})
    return tuple(part for part in wanted if part in FORMATS) or ("w3c",)
