"""How long units wait: from their creation to their start."""

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.columns import WAITING

WAIT_SECONDS = WAITING.name
WAIT_NEEDS = ("created_at_ts", "started_at_ts", "ended_at_ts")
_SECOND = 1000.0  # milliseconds
_ZERO = pa.scalar(0, pa.int64())


def wait_seconds(units: pa.Table, now: int) -> pa.ChunkedArray:
    """Return the seconds that each unit waited, as float64.

    A unit without a start has waited until ``now`` (seconds since the epoch) if it has not ended. Null where the moment
    of creation is unknown, where a unit ended without a start, and where it was created after that moment.

    ``units``: a table with the columns of `WAIT_NEEDS` that the database has.
    """
    created, started, ended = (_moments(units, name) for name in WAIT_NEEDS)
    waits = pc.if_else(pc.is_valid(ended), pa.scalar(None, pa.int64()), pa.scalar(now * 1000, pa.int64()))
    waited = pc.subtract(pc.coalesce(started, waits), created)
    known = pc.if_else(pc.less(waited, _ZERO), pa.scalar(None, pa.int64()), waited)
    return pc.divide(known.cast(pa.float64()), _SECOND)


def _moments(units: pa.Table, name: str) -> pa.ChunkedArray:
    """Return milliseconds since the epoch; null where there is no moment."""
    if name not in units.column_names:
        return pa.chunked_array([pa.nulls(units.num_rows, pa.int64())])
    values = units.column(name)
    return pc.if_else(pc.greater(values, _ZERO), values, pa.scalar(None, pa.int64()))
