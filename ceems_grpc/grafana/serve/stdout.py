"""Keeps standard output for the host, which expects the handshake line and nothing else."""

import io
import os
import sys

_OUTPUT, _ERROR = 1, 2


def take_standard_output() -> int:
    """Point file descriptor 1 at standard error and return a new descriptor for the real standard output.

    From now on, what any code prints (also C libraries and child processes) goes to standard error. The descriptor must
    stay open: a host may take the end of standard output for the end of the plugin.
    """
    sys.stdout.flush()
    real = os.dup(_OUTPUT)
    os.dup2(_ERROR, _OUTPUT)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Printed lines and log lines must appear in the order in which they were written.
        sys.stdout.reconfigure(line_buffering=True)
    return real
