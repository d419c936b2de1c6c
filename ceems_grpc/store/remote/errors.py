"""Errors of calls to a `ceems-grpc server`."""

from enum import StrEnum

import grpc


class Cause(StrEnum):
    """The kinds of failures."""

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
    """The server could not be called. The message is a sentence for the person who configures the connection."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause

    @property
    def status(self) -> int:
        """The matching HTTP status.

        Never 401: a browser would treat that as the end of its Grafana session.
        """
        return _STATUS.get(self.cause, 502)


class AnsweredError(Exception):
    """The server answered with a gRPC status. ``details`` is the text of the server."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
