"""What a feeder counts about its work, in prometheus_client's default registry."""

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from ceems_grpc.store.follow.keeper import Step

LAG = Gauge(
    "ceems_feed_lag_seconds",
    "Seconds since PostgreSQL last showed the file as it is; 0 while it does.",
    labelnames=["site"],
)
NEWEST = Gauge(
    "ceems_feed_newest_update_timestamp_seconds",
    "Newest last_updated_at of the units in PostgreSQL, in seconds since 1970.",
    labelnames=["site"],
)
AHEAD = Gauge(
    "ceems_feed_clock_ahead_seconds",
    "Seconds by which the newest update lies in the future of this host's clock; 0 where it does not.",
    labelnames=["site"],
)
ROWS = Counter("ceems_feed_rows_written_total", "Rows written to PostgreSQL.", labelnames=["site"])
LOOKS = Counter("ceems_feed_looks_total", "Looks at the file, by what they led to.", labelnames=["site", "result"])
ERRORS = Counter("ceems_feed_errors_total", "Looks that failed.", labelnames=["site"])


class FeedMetrics:
    """The metrics of one site."""

    def __init__(self, site: str, clock: Callable[[], float] = time.time) -> None:
        self._site = site
        self._clock = clock
        self._behind_since: float | None = clock()
        self._of_target = 0
        self.written = 0  # rows since the start
        self.ahead = 0.0  # seconds by which the newest update is in the future
        LAG.labels(site).set_function(lambda: self.lag)
        for step in Step:
            LOOKS.labels(site, step.value)
        ERRORS.labels(site)

    @property
    def lag(self) -> float:
        """Seconds since PostgreSQL last showed the file as it was."""
        return 0.0 if self._behind_since is None else max(self._clock() - self._behind_since, 0.0)

    def looks(self) -> None:
        """Note that a look at the file begins; what changed before it is not shown until it ends."""
        if self._behind_since is None:
            self._behind_since = self._clock()

    def looked(self, step: Step, written: int, newest: int | None) -> None:
        """Note what a look led to; ``written``: rows that the target has written since it was opened."""
        self._behind_since = None
        LOOKS.labels(self._site, step.value).inc()
        ROWS.labels(self._site).inc(written - self._of_target)
        self.written += written - self._of_target
        self._of_target = written
        if newest is not None:
            NEWEST.labels(self._site).set(newest)
            self.ahead = max(newest - self._clock(), 0.0)
            AHEAD.labels(self._site).set(self.ahead)

    def failed(self) -> None:
        """Note that a look failed."""
        ERRORS.labels(self._site).inc()

    def opened(self) -> None:
        """Note that there is a new target, which has written nothing yet."""
        self._of_target = 0
