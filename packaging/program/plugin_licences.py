"""Collects the licences of the libraries in the program, which must be distributed with it."""

import re
import sys
import sysconfig
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_LICENCE = re.compile(r"(licen[cs]e|copying|notice|third.?party)[^/]*", re.IGNORECASE)
_NOT_TEXT = (".py", ".pyc", ".so")


def licence_texts(package: str, extras: frozenset[str] = frozenset()) -> str:
    """Return the licences of Python and of all dependencies of an installed package, each under its name and version.

    ``extras`` are the extras of the package to include. Raises `PackageNotFoundError` if it is not installed.
    """
    parts = [heading(f"Python {sys.version.split()[0]} (PSF-2.0)") + _python_licence()]
    for name, found in sorted(needed_by(package, extras).items()):
        if name == canonicalize_name(package):
            continue
        licence = _licence_name(found)
        texts = [path.read_text("utf-8", errors="replace") for path in _licence_files(found)]
        parts.append(heading(f"{name} {found.version} ({licence})") + "\n".join(texts))
    return "\n\n".join(parts)


def needed_by(package: str, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """Return an installed package and everything that it needs, by normalised name."""
    found: dict[str, Distribution] = {}
    waiting = [(package, extras)]
    while waiting:
        name, wanted = waiting.pop()
        if canonicalize_name(name) in found:
            continue
        found[canonicalize_name(name)] = distribution(name)
        for text in distribution(name).requires or []:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                waiting.append((needed.name, frozenset(needed.extras)))
    return found


def _licence_name(found: Distribution) -> str:
    for key in ("License-Expression", "License"):
        if key in found.metadata:
            return str(found.metadata[key]).splitlines()[0]
    return "see below"


def _licence_files(found: Distribution) -> list[Path]:
    return sorted(
        Path(str(file.locate()))
        for file in found.files or []
        if _LICENCE.fullmatch(file.name) and file.suffix not in _NOT_TEXT
    )


def _python_licence() -> str:
    for folder in (sysconfig.get_path("stdlib"), sys.base_prefix):
        for name in ("LICENSE.txt", "LICENSE"):
            if (Path(folder) / name).is_file():
                return (Path(folder) / name).read_text("utf-8")
    return "See https://docs.python.org/3/license.html\n"


def heading(title: str) -> str:
    """Return the lines above the licence of one library."""
    return f"{'=' * 80}\n{title}\n{'=' * 80}\n\n"
