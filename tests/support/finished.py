"""Runs a command to its end, or kills it with everything that it started."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def finished(
    command: Sequence[str | Path],
    *,
    timeout: float = 120,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    given: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Return what a command printed and its exit code.

    ``given`` is its standard input, by default nothing. After ``timeout`` seconds the command and its process group are
    killed, so that nothing keeps the pipes open, and `subprocess.TimeoutExpired` is raised with what was printed.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL if given is None else pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(given, timeout=timeout)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
