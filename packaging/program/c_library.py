"""Finds the C library and the loader. On Linux the package contains both, so that it needs none of the host."""

import platform
import sys
from collections.abc import Iterable
from pathlib import Path

_LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
_FOLDERS = tuple(Path(folder) for folder in (
    f"/lib/{platform.machine()}-linux-gnu", f"/usr/lib/{platform.machine()}-linux-gnu", "/lib64", "/usr/lib64", "/lib",
))  # fmt: skip


def loader_name() -> str:
    """Return the file name of glibc's loader on this processor, such as ``ld-linux-x86-64.so.2``."""
    return _LOADERS[platform.machine()]


def c_library_files(programs: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return the loader and all system libraries that these files are linked to, in the form of PyInstaller's lists.

    PyInstaller deliberately uses the host's C library, but the host may have an older one, or none.
    """
    from PyInstaller.depend.bindepend import get_imports  # noqa: PLC0415 - a dependency of building only

    found: dict[str, str] = {}
    waiting = [sys.executable, *programs]
    looked: set[str] = set()
    while waiting:
        program = waiting.pop()
        if program in looked:
            continue
        looked.add(program)
        for name, path in get_imports(program):
            if path is not None and Path(path).resolve().is_relative_to("/usr/lib") and name not in found:
                found[Path(name).name] = path
                waiting.append(path)
    if loader_name() not in found:
        found[loader_name()] = str(_loader_path())
    return [(name, path, "BINARY") for name, path in sorted(found.items())]


def system_library(name: str) -> Path | None:
    """Return the path of a system library by its file name; None if no system folder contains it."""
    return next((folder / name for folder in _FOLDERS if (folder / name).exists()), None)


def _loader_path() -> Path:
    if (path := system_library(loader_name())) is not None:
        return path
    raise SystemExit(f"The loader {loader_name()} is not on this machine: the package is made on Linux with glibc.")
