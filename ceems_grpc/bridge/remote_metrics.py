"""What a server counts, told from what this process counts."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


def labelled(text: str, server: str) -> Iterator[Metric]:
    """Read Prometheus' text format and give each sample the label ``server``. Raises `ValueError` for other text.

    Moments at which counters began to count are left out: in the text they are metrics of their own.
    """
    for metric in text_string_to_metric_families(text):
        if metric.name.endswith("_created"):
            continue
        metric.samples = [sample._replace(labels={**sample.labels, "server": server}) for sample in metric.samples]
        yield metric
