"""Feeding until told to stop: looks at the file again and again, and outlives what fails meanwhile."""

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
_CLOCKS_DIFFER = 120.0  # seconds that the newest update may be in the future before it is worth a warning


@dataclass(frozen=True, slots=True)
class Pace:
    """``interval``: seconds between looks. ``once``: end when PostgreSQL shows the file.

    ``wait``: outlive also what fails at first, and other feeders.
    """

    interval: float = 1.0
    once: bool = False
    wait: bool = False


def feed(feeder: Feeder, pace: Pace, metrics: FeedMetrics, stop: threading.Event) -> None:
    """Feed until ``stop`` is set.

    Raises what stands in the way at first, unless ``pace.wait``; and `FeedError` at any time, but for another feeder
    that one waits for.
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
            _log.warning("feeding failed and is tried again", extra={"detail": detail, "after_seconds": seconds})
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
        "PostgreSQL shows the file",
        extra={
            "step": step.value,
            "rows": metrics.written - before,
            "seconds": round(time.perf_counter() - began, 3),
        },
    )
    if metrics.ahead > _CLOCKS_DIFFER:
        _log.warning(
            "units were updated in the future: the clocks of this host and of CEEMS differ, or the time zone is wrong",
            extra={"ahead_seconds": round(metrics.ahead)},
        )
