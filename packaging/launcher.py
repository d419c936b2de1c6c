"""Compiles the launcher: the program that Grafana starts on Linux, which needs no library of the host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from c_library import loader_name
from plugin_facts import PROGRAMS, program_name

SOURCE = Path(__file__).with_name("launcher.c")


def make_launcher(target: Path) -> None:
    """Compile launcher.c for this machine, statically. Raises `SystemExit` with a sentence if that fails."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise SystemExit("The launcher needs a C compiler: install gcc and libc6-dev (Debian) or gcc and glibc-static.")
    flags = ["-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror", f'-DLOADER="{loader_name()}"']
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [compiler, *flags, "-o", str(target), str(SOURCE)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"The launcher cannot be compiled: {done.stderr.strip()}")


if __name__ == "__main__":
    if sys.platform == "linux":
        make_launcher(PROGRAMS / program_name() / program_name())
