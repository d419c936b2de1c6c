"""Runs the `ceems-grpc` command in a separate process."""

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.places import ROOT

_AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def ceems_grpc(
    *arguments: str | Path, cwd: Path = ROOT, given: str = "", unprivileged: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command. ``unprivileged``: never as root, who can read every file."""
    prefix = _AS_NOBODY if unprivileged and os.geteuid() == 0 else []
    return subprocess.run(
        prefix + command_line(arguments),
        cwd=cwd,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )


def in_terminal(*arguments: str | Path, cwd: Path = ROOT, columns: int = 120) -> str:
    """Run a command with a terminal for input, output and errors; return everything that it wrote."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        command_line(arguments),
        cwd=cwd,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**environment(), "COLUMNS": str(columns), "TERM": "xterm-256color"},
    ) as process:
        os.close(terminal)
        written = b""
        try:
            while piece := os.read(controller, 65536):
                written += piece
        except OSError:  # how Linux says that the other end of a terminal is closed
            pass
        os.close(controller)
    assert process.returncode == 0, written.decode()
    return written.decode()


def command_line(arguments: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", "ceems_grpc", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return the environment of this process, without the variables that change what a command prints."""
    dropped = ("GF_", "PLUGIN_", "grafana_plugin_type", "COLUMNS", "FORCE_COLOR", "NO_COLOR")
    return {**{key: value for key, value in os.environ.items() if not key.startswith(dropped)}, "PYTHONPATH": str(ROOT)}
