"""Threads of the plugin's process: how many there may be, and how they share Python's lock.

Databases are asked in threads of asyncio's default executor. With its usual size (processors + 4) a few large
questions would fill it, and small ones would wait for a thread although the queue let them run.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

_THREADS = 32  # more than questions that run at once, in a few data sources; idle ones are not started
_SWITCH_SECONDS = 0.0005


def share_fairly() -> None:
    """Set up the running event loop and the interpreter for small questions beside large ones."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="ceems"))
    # A thread that computes keeps Python's lock for this long while others ask for it. A question changes threads a few
    # dozen times, and would wait as often; Python's own 5 ms are meant for few changes.
    sys.setswitchinterval(_SWITCH_SECONDS)
