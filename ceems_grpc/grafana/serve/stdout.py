"""Keeps standard output for the host: the handshake line and nothing else ever."""

import io
import os
import sys

_OUTPUT, _ERROR = 1, 2


def take_standard_output() -> int:
    """Point file descriptor 1 at standard error and return a new descriptor for the real standard output.

    What code prints from now on, C libraries and child processes included, goes to standard error. The descriptor
    must stay open: a host may take its end for the plugin's end.
    """
    sys.stdout.flush()
    real = os.dup(_OUTPUT)
    os.dup2(_ERROR, _OUTPUT)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Lines shall come between those of the log in the order in which they were written.
        sys.stdout.reconfigure(line_buffering=True)
    return real
