"""Returns memory that large answers have used to the system.

The C library keeps freed memory for later, in one arena for each of several threads. After a few large answers this is
hundreds of megabytes that nobody uses. So the memory of all arenas is released soon after a large answer. With C
libraries other than glibc, nothing is done.
"""

import asyncio
import ctypes
import os
from functools import cache
from typing import Any

_LARGE = 1024 * 1024
"""Bytes. A larger answer leaves much memory behind, because several copies of it exist while it is made."""
_DELAY = 0.5  # seconds, enough to send the answer
_M_ARENA_MAX = -8  # see mallopt(3)
_ARENAS = 2  # more arenas only keep more freed memory

_due = False


def use_one_allocator() -> None:
    """Make Arrow take its memory from the C library; call it before Arrow is loaded.

    Arrow's own allocator also keeps freed memory, and it cannot be notified when a query has ended.
    ``ARROW_DEFAULT_MEMORY_POOL`` in the environment chooses another allocator.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    library = _c_library()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)


def answered(size: int) -> None:
    """Note that an answer of this many bytes is being sent. Called in the event loop."""
    global _due  # noqa: PLW0603 - memory is the process's
    if size < _LARGE or _due or _c_library() is None:
        return
    _due = True
    loop = asyncio.get_running_loop()
    loop.call_later(_DELAY, loop.run_in_executor, None, _give_back)  # takes some milliseconds


def _give_back() -> None:
    global _due  # noqa: PLW0603 - memory is the process's
    _due = False
    library = _c_library()
    if library is not None:
        library.malloc_trim(0)


@cache
def _c_library() -> Any:  # noqa: ANN401 - a library's functions have no types
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
