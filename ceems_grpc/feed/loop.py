"""The loop of a feeder: it checks the file repeatedly until it is stopped, and retries after failures."""

import logging
import sqlite3
import threading
import time
from dataclasses import dataclass

import duckdb

from ceems_grpc.feed.feeder import FedTwiceError, Feeder, FeedError
from ceems_grpc.feed.metrics import FeedMetrics
from ceems_grpc.store.columnar.layout import CannotMirrorError
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.follow.keeper import Step

_log = logging.getLogger(__name__)
_PASSING = (StoreError, CannotMirrorError, sqlite3.Error, duckdb.Error, OSError, FedTwiceError)
_LONGEST_WAIT = 60.0
_CLOCKS_DIFFER = 120.0  # seconds in the future from which the newest update causes a warning


@dataclass(frozen=True, slots=True)
class Pace:
    """The options of the loop.

    ``interval``: seconds between checks of the file. ``once``: end when PostgreSQL is up to date. ``wait``: retry even
    if the first attempt fails, and wait for another feeder of the site to end.
    """

    interval: float = 1.0
    once: bool = False
    wait: bool = False


def feed(feeder: Feeder, pace: Pace, metrics: FeedMetrics, stop: threading.Event) -> None:
    """Feed until ``stop`` is set.

    Raises the errors of the first attempt, unless ``pace.wait`` is set, and `FeedError` at any time, except
    `FedTwiceError` if ``pace.wait`` is set.
    """
    failures = 0
    patient = pace.wait
    while not stop.is_set():
        try:
            _look(feeder, metrics)
        except _PASSING as error:
            if (isinstance(error, FeedError) and not pace.wait) or not patient:
                raise
            metrics.failed()
            failures += 1
            detail = error.detail if isinstance(error, StoreError) else str(error)
            seconds = min(2.0**failures * pace.interval, _LONGEST_WAIT)
            _log.warning("feeding failed and will be retried", extra={"detail": detail, "after_seconds": seconds})
            stop.wait(seconds)
            continue
        failures = 0
        patient = patient or not pace.once
        if pace.once:
            return
        stop.wait(pace.interval)


def _look(feeder: Feeder, metrics: FeedMetrics) -> None:
    metrics.looks()
    if not feeder.is_open:
        feeder.open()
        metrics.opened()
    began = time.perf_counter()
    step = feeder.step()
    target = feeder.target
    before = metrics.written
    metrics.looked(step, target.written, target.newest)
    if step is Step.NOTHING:
        return
    _log.info(
        "PostgreSQL is up to date",
        extra={
            "step": step.value,
            "rows": metrics.written - before,
            "seconds": round(time.perf_counter() - began, 3),
        },
    )
    if metrics.ahead > _CLOCKS_DIFFER:
        _log.warning(
            "the newest update is in the future: the clocks of this host and CEEMS differ, or the time zone is wrong",
            extra={"ahead_seconds": round(metrics.ahead)},
        )
