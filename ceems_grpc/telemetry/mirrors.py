"""How the mirrors of all data sources are, for Prometheus; looked up whenever metrics are collected.

What is said of a data source leaves with it: nothing is kept but the list of open stores.
"""

from collections.abc import Iterable

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ceems_grpc.store.protocols import HasMirrors, MirrorStatus, Store

_LABELS = ("datasource", "source")


class MirrorMetrics(Collector):
    """Collects from the stores that are watched. Collecting looks at files, and may be done in any thread."""

    def __init__(self) -> None:
        self._stores: dict[int, tuple[str, HasMirrors]] = {}

    def watch(self, uid: str, store: Store) -> None:
        """Collect from the store of a data source from now on, until it is forgotten."""
        if isinstance(store, HasMirrors):
            self._stores[id(store)] = (uid, store)

    def forget(self, store: Store) -> None:
        """Collect from the store no more."""
        self._stores.pop(id(store), None)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is to collect changes."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the state of each mirror. Of stores of one data source, the one that was opened last speaks for it."""
        found: dict[tuple[str, str], MirrorStatus] = {}
        for uid, store in list(self._stores.values()):
            found |= {(uid, source): status for source, status in store.mirrors().items()}
        fresh = GaugeMetricFamily(
            "ceems_mirror_fresh", "1 while the mirror shows the database as it is, else 0.", labels=_LABELS
        )
        age = GaugeMetricFamily(
            "ceems_mirror_age_seconds",
            "Time since the mirror was last seen to show the database as it is; absent while there is no mirror yet.",
            labels=_LABELS,
        )
        for labels, status in found.items():
            fresh.add_metric(labels, float(status.fresh))
            if status.age is not None:
                age.add_metric(labels, status.age)
        return [fresh, age]


MIRRORS = MirrorMetrics()
REGISTRY.register(MIRRORS)
