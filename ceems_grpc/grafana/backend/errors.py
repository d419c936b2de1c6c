"""Errors that a data source raises to be shown to the user."""

from enum import StrEnum


class ErrorSource(StrEnum):
    """Whose fault an error is: Grafana counts the two apart."""

    PLUGIN = "plugin"
    DOWNSTREAM = "downstream"


class PluginError(Exception):
    """A failure whose message the user may read.

    ``status`` is an HTTP number. ``source`` is DOWNSTREAM when what the plugin asks (a database, a server) failed or
    when the request itself was wrong. Any other exception type counts as a bug: its text stays in the log.
    """

    def __init__(self, message: str, *, status: int = 500, source: ErrorSource = ErrorSource.PLUGIN) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.source = source
