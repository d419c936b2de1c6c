"""The state of the mirrors of all data sources, for Prometheus.

The state is read whenever metrics are collected. Only the list of open stores is kept, so the metrics of a data source
disappear when it closes.
"""

from collections.abc import Iterable

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ceems_grpc.store.protocols import HasMirrors, MirrorStatus, Store

_LABELS = ("datasource", "source")


class MirrorMetrics(Collector):
    """Collects the state of the watched stores. Collecting reads files and may happen in any thread."""

    def __init__(self) -> None:
        self._stores: dict[int, tuple[str, HasMirrors]] = {}

    def watch(self, uid: str, store: Store) -> None:
        """Start to collect the state of a data source's store."""
        if isinstance(store, HasMirrors):
            self._stores[id(store)] = (uid, store)

    def forget(self, store: Store) -> None:
        """Stop collecting the state of a store."""
        self._stores.pop(id(store), None)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, because the metrics change while the process runs."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the state of each mirror. If a data source has several stores, the one that was opened last counts."""
        found: dict[tuple[str, str], MirrorStatus] = {}
        for uid, store in list(self._stores.values()):
            found |= {(uid, source): status for source, status in store.mirrors().items()}
        fresh = GaugeMetricFamily("ceems_mirror_fresh", "1 while the mirror is current, otherwise 0.", labels=_LABELS)
        age = GaugeMetricFamily(
            "ceems_mirror_age_seconds",
            "Time since the mirror was last known to be current; absent until there is a mirror.",
            labels=_LABELS,
        )
        for labels, status in found.items():
            fresh.add_metric(labels, float(status.fresh))
            if status.age is not None:
                age.add_metric(labels, status.age)
        return [fresh, age]


MIRRORS = MirrorMetrics()
REGISTRY.register(MIRRORS)
