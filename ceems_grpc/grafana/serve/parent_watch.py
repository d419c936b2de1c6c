"""Notices that the process which started the plugin is gone, so that the plugin never outlives it.

``PR_SET_PDEATHSIG`` would do this in one line, but it fires when the *thread* that started us ends, and Go moves its
work between threads. A process descriptor (Linux 5.3) waits for the process itself; elsewhere we look once a second.
"""

import os
import select
import threading
import time
from collections.abc import Callable

_POLL_SECONDS = 1.0


def watch_parent(when_gone: Callable[[], None]) -> None:
    """Call ``when_gone`` once, in a thread of its own, when the parent has ended or had ended before this call."""
    threading.Thread(target=_wait, args=(os.getppid(), when_gone), name="parent", daemon=True).start()


def _wait(parent: int, when_gone: Callable[[], None]) -> None:
    if not _orphaned(parent):
        _wait_by_descriptor(parent)
    while not _orphaned(parent):
        time.sleep(_POLL_SECONDS)
    when_gone()


def _wait_by_descriptor(parent: int) -> None:
    """Return when the process has ended, or at once where this is not possible."""
    if not hasattr(os, "pidfd_open"):
        return
    try:
        descriptor = os.pidfd_open(parent)
    except OSError:
        return
    try:
        # The number could have been given to another process before it was opened.
        if not _orphaned(parent):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll()
    finally:
        os.close(descriptor)


def _orphaned(parent: int) -> bool:
    """Say whether the parent is gone, by the parent that we have now.

    A child is in its parent's session or leads one of its own. An orphan from before the first look is neither: whoever
    takes orphans in, process 1 or another, is in another session. (In a container process 1 may be the real parent.)
    """
    now = os.getppid()
    if now != parent:
        return True
    try:
        return os.getsid(0) not in (os.getpid(), os.getsid(now))
    except ProcessLookupError:
        return now != 0  # 0 is a parent outside of our container; any other has ended while we looked.
    except PermissionError:
        return False
