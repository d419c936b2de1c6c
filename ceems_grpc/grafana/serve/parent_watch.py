"""Notices that the process that started the plugin has ended, so that the plugin never outlives it.

``PR_SET_PDEATHSIG`` would do this in one line, but it fires when the *thread* that started us ends, and Go moves its
work between threads. A process descriptor (Linux 5.3) waits for the process itself. Elsewhere, the parent is
checked once a second.
"""

import os
import select
import threading
import time
from collections.abc import Callable

_POLL_SECONDS = 1.0


def watch_parent(when_gone: Callable[[], None]) -> None:
    """Call ``when_gone`` once, in its own thread, when the parent has ended, or at once if it has ended already."""
    threading.Thread(target=_wait, args=(os.getppid(), when_gone), name="parent", daemon=True).start()


def _wait(parent: int, when_gone: Callable[[], None]) -> None:
    if not _orphaned(parent):
        _wait_by_descriptor(parent)
    while not _orphaned(parent):
        time.sleep(_POLL_SECONDS)
    when_gone()


def _wait_by_descriptor(parent: int) -> None:
    """Return when the process has ended, or at once if the system has no process descriptors."""
    if not hasattr(os, "pidfd_open"):
        return
    try:
        descriptor = os.pidfd_open(parent)
    except OSError:
        return
    try:
        # The parent may have ended before this, and another process may have its number.
        if not _orphaned(parent):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll()
    finally:
        os.close(descriptor)


def _orphaned(parent: int) -> bool:
    """Return whether the parent has ended, judged by our present parent.

    A child is in its parent's session or leads its own. A process that became an orphan before the first look does
    neither: its new parent, process 1 or another one, is in another session. (In a container, process 1 may be the real
    parent.)
    """
    now = os.getppid()
    if now != parent:
        return True
    try:
        return os.getsid(0) not in (os.getpid(), os.getsid(now))
    except ProcessLookupError:
        return now != 0  # 0 is a parent outside our container; any other has just ended.
    except PermissionError:
        return False
