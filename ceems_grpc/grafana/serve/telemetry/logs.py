"""Logs in the form that Grafana reads: one JSON object per line on standard error, as HashiCorp's hclog writes it.

Code logs through the standard ``logging``; fields given as ``extra={...}`` become fields of the JSON object.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_TRACE = 5
_LEVELS = {
    "trace": _TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_LEVELS |= {"warning": logging.WARNING, "critical": logging.ERROR}
_STANDARD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_STANDARD_ERROR = 2

_fields: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default={})  # noqa: B039 never changed in place


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Add fields to every line that is logged inside the block, also by tasks that are started there."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


class HclogFormatter(logging.Formatter):
    """Formats a record as one line of JSON; the time is in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without a line break."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "@level": _level_name(record.levelno),
            "@message": record.getMessage(),
            "@module": record.name,
            "@timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            **_fields.get(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD_ATTRIBUTES}
        if record.exc_info:
            line["error"] = repr(record.exc_info[1])
            line["stacktrace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _StandardError(logging.Handler):
    """Writes each line with one call, without Python's text layer, whose encoding depends on the locale."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(_STANDARD_ERROR, self.format(record).encode(errors="backslashreplace") + b"\n")
        except OSError:
            pass  # The reader is gone; there is nobody left to tell.
        except Exception:
            self.handleError(record)


def start_logging(environment: Mapping[str, str]) -> None:
    """Send all logs to standard error in Grafana's form.

    The level is ``log_level`` of ``[plugin.<id>]`` in grafana.ini (trace, debug, info, warn, error), which Grafana
    passes as ``GF_PLUGIN_LOG_LEVEL``; otherwise ``GF_LOG_LEVEL``; otherwise info.
    """
    wanted = environment.get("GF_PLUGIN_LOG_LEVEL") or environment.get("GF_LOG_LEVEL") or "info"
    handler = _StandardError()
    handler.setFormatter(HclogFormatter())
    logging.basicConfig(level=_LEVELS.get(wanted.strip().lower(), logging.INFO), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _level_name(level: int) -> str:
    if level >= logging.ERROR:
        return "error"
    if level >= logging.WARNING:
        return "warn"
    if level >= logging.INFO:
        return "info"
    return "debug" if level >= logging.DEBUG else "trace"


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: object) -> None:
    logging.getLogger("ceems_grpc.grafana").critical("the plugin ended by an error", exc_info=error)
