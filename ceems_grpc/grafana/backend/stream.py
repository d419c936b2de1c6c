"""Grafana Live: channels that browsers listen to and send into."""

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
    """A channel (its last part) and what the browser sent along, usually JSON."""

    path: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class SubscribeResult:
    """``initial`` (a frame or JSON) goes to the new listener at once."""

    status: SubscribeStatus
    initial: "Frame | bytes | None" = None


@dataclass(frozen=True, slots=True)
class PublishResult:
    """``data`` (JSON) is what Grafana sends to the channel's listeners; empty sends nothing."""

    status: PublishStatus
    data: bytes = b""
