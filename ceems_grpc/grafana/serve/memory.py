"""Gives memory that large answers have used back to the system.

The C library keeps what is freed for the next who asks for it, in one arena for each of several threads; after a few
large answers that is hundreds of megabytes which nobody uses. So soon after a large answer all arenas are told to let
go of it. Elsewhere than with glibc nothing is done.
"""

import asyncio
import ctypes
import os
from functools import cache
from typing import Any

_LARGE = 1024 * 1024
"""Bytes of an answer from which on it leaves much behind: it was held several times over while it was made."""
_DELAY = 0.5  # seconds, in which the answer is sent
_M_ARENA_MAX = -8  # see mallopt(3)
_ARENAS = 2  # more of them only keep more of what is freed

_due = False


def use_one_allocator() -> None:
    """Let Arrow take its memory from the C library too; call it before Arrow is loaded.

    Its own allocator keeps what is freed as well, and cannot be told when a question is over. Whoever starts the
    process may choose another one with ``ARROW_DEFAULT_MEMORY_POOL``.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    library = _c_library()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)


def answered(size: int) -> None:
    """Say that an answer of so many bytes is being sent; called in the event loop."""
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
