"""Keeps passes of Python's garbage collector short.

A full pass visits every object of the process, and all requests wait for it. Most objects belong to libraries and live
as long as the process. With them, a pass takes about 50 ms. So they are frozen, and later passes skip them.
"""

import gc
import sys
from typing import Literal


class _LibraryFreezer:
    """A callback of the collector; see `gc.callbacks`."""

    def __init__(self) -> None:
        self._modules = 0

    def freeze_new(self) -> None:
        """Freeze all objects if libraries were loaded since the last time; only then is it worth it."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            gc.freeze()

    def __call__(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        # The pass has just removed the garbage, so none is frozen.
        if phase == "stop" and info["generation"] == 2:
            self.freeze_new()


def freeze_libraries() -> None:
    """Freeze the objects of the libraries that are loaded, and from now on those that are loaded later.

    Call it once per process, after the start: garbage that exists at that moment is never collected.
    """
    freezer = _LibraryFreezer()
    freezer.freeze_new()
    gc.callbacks.append(freezer)
