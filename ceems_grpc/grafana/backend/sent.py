"""What is due when the answer to a request has left the process."""

from collections.abc import Callable
from contextvars import ContextVar

_due: ContextVar[list[Callable[[], None]] | None] = ContextVar("due_when_sent", default=None)


def when_sent(callback: Callable[[], None]) -> None:
    """Call back when the answer to the current request has been sent or given up; at once outside of a request."""
    due = _due.get()
    if due is None:
        callback()
    else:
        due.append(callback)


def collect_due() -> list[Callable[[], None]]:
    """Begin a request; return the list to which `when_sent` adds callbacks in this task and in those it starts."""
    due: list[Callable[[], None]] = []
    _due.set(due)
    return due
