"""The metrics of a server, with a label that distinguishes them from those of this process."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


def labelled(text: str, server: str) -> Iterator[Metric]:
    """Parse Prometheus' text format and add the label ``server`` to each sample. Raises `ValueError` for other text.

    Creation times of counters are left out, because the text format has them as separate metrics.
    """
    for metric in text_string_to_metric_families(text):
        if metric.name.endswith("_created"):
            continue
        metric.samples = [sample._replace(labels={**sample.labels, "server": server}) for sample in metric.samples]
        yield metric
