"""The metrics of a feeder, in the default registry of prometheus_client."""

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from ceems_grpc.store.follow.keeper import Step

LAG = Gauge(
    "ceems_feed_lag_seconds",
    "Seconds since PostgreSQL was last up to date with the file; 0 while it is.",
    labelnames=["site"],
)
NEWEST = Gauge(
    "ceems_feed_newest_update_timestamp_seconds",
    "Newest last_updated_at of the units in PostgreSQL, in seconds since 1970.",
    labelnames=["site"],
)
AHEAD = Gauge(
    "ceems_feed_clock_ahead_seconds",
    "Seconds by which the newest update is ahead of this host's clock; 0 if it is not.",
    labelnames=["site"],
)
ROWS = Counter("ceems_feed_rows_written_total", "Rows written to PostgreSQL.", labelnames=["site"])
LOOKS = Counter("ceems_feed_looks_total", "Checks of the file, by result.", labelnames=["site", "result"])
ERRORS = Counter("ceems_feed_errors_total", "Checks that failed.", labelnames=["site"])


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
        """Seconds since PostgreSQL was last up to date with the file."""
        return 0.0 if self._behind_since is None else max(self._clock() - self._behind_since, 0.0)

    def looks(self) -> None:
        """Record that a check of the file starts. The lag counts from here until the check ends."""
        if self._behind_since is None:
            self._behind_since = self._clock()

    def looked(self, step: Step, written: int, newest: int | None) -> None:
        """Record the result of a check. ``written``: the rows that the target has written since it was opened."""
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
        """Record that a check failed."""
        ERRORS.labels(self._site).inc()

    def opened(self) -> None:
        """Record that the feeder has a new target, whose count of written rows starts at 0."""
        self._of_target = 0
