"""What can be wrong between here and a `ceems-grpc server`."""

from enum import StrEnum

import grpc


class Cause(StrEnum):
    """Kinds of trouble with a server."""

    NAME = "name"
    NETWORK = "network"
    TLS = "tls"
    REFUSED = "refused"
    VERSION = "version"
    SIZE = "size"
    BUSY = "busy"
    DEADLINE = "deadline"


_STATUS = {Cause.NETWORK: 503, Cause.SIZE: 413, Cause.BUSY: 503, Cause.DEADLINE: 504}


class RemoteError(Exception):
    """The server could not be asked. The message is a sentence for whoever configures the connection."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause

    @property
    def status(self) -> int:
        """The HTTP status that fits.

        Never 401: a browser would take that for the end of its own session.
        """
        return _STATUS.get(self.cause, 502)


class AnsweredError(Exception):
    """The server was asked and answered with a gRPC status; ``details`` are its words."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
