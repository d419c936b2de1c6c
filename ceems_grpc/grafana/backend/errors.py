"""Errors that a data source raises to be shown to the user."""

from enum import StrEnum


class ErrorSource(StrEnum):
    """Whose fault an error is. Grafana counts the two separately."""

    PLUGIN = "plugin"
    DOWNSTREAM = "downstream"


class PluginError(Exception):
    """A failure whose message the user may read.

    ``status`` is an HTTP status. ``source`` is DOWNSTREAM if the database or server that the plugin asks has failed, or
    if the request itself is wrong. Any other type of exception counts as a bug: its text stays in the log.
    """

    def __init__(self, message: str, *, status: int = 500, source: ErrorSource = ErrorSource.PLUGIN) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.source = source
