"""Compiles the launcher: the program that Grafana starts on Linux, which needs no library of the host."""

import os
import shutil
import subprocess
from pathlib import Path

from plugin_facts import libraries_name

from program.c_library import loader_name

_STRICT = ("-Os", "-s", "-Wall", "-Wextra", "-Werror")


def make_launcher(folder: Path, name: str) -> None:
    """Compile the launcher ``name`` into a folder, and the library that it preloads into the folder of libraries.

    Raises `SystemExit` with a sentence if that fails.
    """
    _compile("launcher.c", folder / name, "-static", f'-DLOADER="{loader_name()}"')
    _compile("urandom.c", folder / libraries_name(name) / "liburandom.so", "-shared", "-fPIC")


def _compile(source: str, target: Path, *flags: str) -> None:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise SystemExit("The launcher needs a C compiler: install gcc and libc6-dev (Debian) or gcc and glibc-static.")
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [compiler, *_STRICT, *flags, "-o", str(target), str(Path(__file__).with_name(source))],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{source} cannot be compiled: {done.stderr.strip()}")
