"""One query of a panel, as a data source sees it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from ceems_grpc.grafana.backend.context import EPOCH, from_epoch_ms
from ceems_grpc.pb import pluginv2_pb2 as pb

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A span of time; both ends in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def from_proto(cls, message: pb.TimeRange) -> Self:
        """Read the wire message."""
        return cls(start=from_epoch_ms(message.fromEpochMS), end=from_epoch_ms(message.toEpochMS))

    @property
    def start_ms(self) -> int:
        """Start in whole milliseconds since 1970."""
        return (self.start - EPOCH) // _MILLISECOND

    @property
    def end_ms(self) -> int:
        """End in whole milliseconds since 1970."""
        return (self.end - EPOCH) // _MILLISECOND


@dataclass(frozen=True, slots=True)
class DataQuery:
    """A query. ``json`` is the plugin's own query model as the editor saved it; ``ref_id`` names it in its request.

    ``max_data_points`` and ``interval`` are how many points the panel can show, and how far apart. Both may be 0.
    ``others``: the JSON of the other queries in the request.
    """

    ref_id: str
    query_type: str
    max_data_points: int
    interval: timedelta
    time_range: TimeRange
    json: bytes
    others: tuple[bytes, ...] = ()

    @classmethod
    def from_proto(cls, message: pb.DataQuery, json: bytes | None = None, others: tuple[bytes, ...] = ()) -> Self:
        """Read the wire message. An interval too long for a timedelta becomes the longest.

        ``json``: that of the message, for a caller that has read it: each time that it is read, it is copied.
        """
        try:
            interval = timedelta(milliseconds=message.intervalMS)
        except OverflowError:
            interval = timedelta.max if message.intervalMS > 0 else timedelta.min
        return cls(
            ref_id=message.refId,
            query_type=message.queryType,
            max_data_points=message.maxDataPoints,
            interval=interval,
            time_range=TimeRange.from_proto(message.timeRange),
            json=message.json if json is None else json,
            others=others,
        )
