"""The server's spans continue those of the plugin, if the plugin sends any."""

from ceems_grpc.grafana.serve.telemetry.trace_context import trace_context
from ceems_grpc.grafana.serve.telemetry.tracing import outgoing_trace, request_span, start_tracing, stop_tracing

_TRACE, _SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_the_open_span_goes_along_and_not_grafanas() -> None:
    start_tracing({"GF_INSTANCE_OTLP_ADDRESS": "127.0.0.1:1"}, name="plugin", version="1")
    try:
        with request_span("queryData", {"traceparent": f"00-{_TRACE}-{_SPAN}-01"}, {}):
            sent = trace_context(outgoing_trace())
    finally:
        stop_tracing(0.1)
    assert sent is not None
    assert (sent.trace, sent.sampled) == (_TRACE, True)
    assert f"{sent.span_id:016x}" != _SPAN


def test_where_no_spans_are_sent_nothing_is_added() -> None:
    assert outgoing_trace() == {}
