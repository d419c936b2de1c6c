"""Finds the oldest version of glibc with which a package runs."""

import re
from pathlib import Path

# Versions of symbols, as the linker writes them into a program and its libraries.
_SYMBOL_VERSION = re.compile(rb"GLIBC_(\d+)\.(\d+)(?:\.\d+)?\x00")
_ELF = b"\x7fELF"


def needed_glibc(folder: Path) -> tuple[int, int] | None:
    """Return the oldest version of glibc, such as (2, 28), that has every symbol the Linux programs in a folder use.

    None if the folder contains no Linux program.
    """
    needed: set[tuple[int, int]] = set()
    for path in folder.rglob("*"):
        if path.is_file() and _is_elf(path):
            needed.update((int(major), int(minor)) for major, minor in _SYMBOL_VERSION.findall(path.read_bytes()))
    return max(needed, default=None)


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ELF)) == _ELF
