"""Grafana Live: channels that browsers listen to and send to."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ceems_grpc.grafana.data.frame import Frame


class SubscribeStatus(Enum):
    """May this user listen? The values are those of the wire."""

    OK = 0
    NOT_FOUND = 1
    PERMISSION_DENIED = 2


class PublishStatus(Enum):
    """May this user send? The values are those of the wire."""

    OK = 0
    NOT_FOUND = 1
    PERMISSION_DENIED = 2


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A channel (the last part of its path) and the data that the browser sent, usually JSON."""

    path: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class SubscribeResult:
    """Whether the user may listen. ``initial`` (a frame or JSON) goes to the new listener at once."""

    status: SubscribeStatus
    initial: "Frame | bytes | None" = None


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Whether the user may send. Grafana sends ``data`` (JSON) to the channel's listeners; empty sends nothing."""

    status: PublishStatus
    data: bytes = b""
