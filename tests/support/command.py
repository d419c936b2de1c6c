"""Runs the `ceems-grpc` command as a process of its own."""

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
    """Run a command; with `unprivileged` never as root, for whom no file is unreadable."""
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
    """Run a command with a terminal for input, output and errors; return all that it wrote."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command_line(arguments),
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment(), "COLUMNS": str(columns), "TERM": "xterm-256color"},
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:  # how Linux says that the other end of a terminal is closed
            pass
        os.close(ours)
    assert process.returncode == 0, written.decode()
    return written.decode()


def command_line(arguments: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", "ceems_grpc", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return what the machine's shell says, without what would change what a command prints."""
    dropped = ("GF_", "PLUGIN_", "grafana_plugin_type", "COLUMNS", "FORCE_COLOR", "NO_COLOR")
    return {**{key: value for key, value in os.environ.items() if not key.startswith(dropped)}, "PYTHONPATH": str(ROOT)}
