"""Threads of the plugin's process: how many there may be, and how they share the interpreter lock.

A data source runs blocking work in threads of asyncio's default executor. With the executor's usual size (processors
+ 4), a few large queries would take all threads, and small queries would have to wait for one.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

_THREADS = 32  # more than a few data sources run at once; a thread starts only when it is needed
_SWITCH_SECONDS = 0.0005


def share_fairly() -> None:
    """Set up the running event loop and the interpreter so that small queries run beside large ones."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="data-source"))
    # A thread that computes keeps the interpreter lock this long while others wait for it. A query changes threads a
    # few dozen times and would wait each time. Python's default, 5 ms, suits programs that change threads rarely.
    sys.setswitchinterval(_SWITCH_SECONDS)
