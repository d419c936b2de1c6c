"""Metrics about the plugin's own work, in prometheus_client's default registry.

Other parts of a plugin add their metrics to the same registry. ``grafana_plugin_request_total`` has the name and labels
of Grafana's own SDK, so that existing dashboards and alerts for plugins work.
"""

from collections.abc import Iterator, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, Metric

REQUESTS = Counter(
    "grafana_plugin_request_total", "Requests answered.", labelnames=["endpoint", "status", "status_source"]
)
SECONDS = Histogram(
    "grafana_plugin_request_duration_seconds",
    "Time from a request's arrival to the end of its answer.",
    labelnames=["endpoint"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
ERRORS = Counter(
    "grafana_plugin_error_total",
    "Failures reported to the user, by HTTP status and by origin; one request may have several.",
    labelnames=["endpoint", "status", "source"],
)
ROWS = Counter("grafana_plugin_response_rows_total", "Rows of data frames sent.", labelnames=["endpoint"])
BYTES = Counter("grafana_plugin_response_bytes_total", "Bytes of frames and bodies sent.", labelnames=["endpoint"])


class Together(CollectorRegistry):
    """The metrics of the default registry and those of other processes, which have additional labels.

    Prometheus expects all samples of a name in one place.
    """

    def __init__(self, others: Sequence[Sequence[Metric]]) -> None:
        super().__init__(auto_describe=False)
        self._others = others

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once. If samples have the same labels, the first one is kept."""
        families: dict[str, Metric] = {}
        for metric in [*REGISTRY.collect(), *(metric for other in self._others for metric in other)]:
            family = families.get(metric.name)
            if family is None:
                family = families[metric.name] = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            if family.type == metric.type:
                family.samples.extend(metric.samples)
        for family in families.values():
            family.samples = list(
                {(one.name, *sorted(one.labels.items())): one for one in reversed(family.samples)}.values()
            )[::-1]
            yield family
