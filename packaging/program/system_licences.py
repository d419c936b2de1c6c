"""Collects the licences of the system libraries in the Linux program, above all the C library's."""

import shutil
import subprocess
from pathlib import Path

from program.c_library import system_library
from program.plugin_licences import heading

_COPYRIGHTS = Path("/usr/share/doc")
_NOTICE = """\
The program is linked to the libraries below, which are used as their distribution ships them, unchanged. Those under
the GNU Lesser General Public License (the GNU C library among them) can be replaced: put another build of the same
library in place of the file in this folder. Their source is that of the package and version that is named with each,
at the distribution; whoever makes this package offers to send it to anybody, for three years, at the cost of sending.
"""


def system_packages(libraries: Path) -> dict[str, list[str]]:
    """Return the libraries in a folder that belong to system packages, by "NAME VERSION" of the package.

    Empty if the folder contains none, as on macOS.
    """
    packages: dict[str, list[str]] = {}
    for file in sorted(libraries.glob("*.so*")):
        if file.name.startswith("libpython"):  # plugin_licences lists Python
            continue
        path = system_library(file.name)
        package = None if path is None else _package_of(path)
        if package is not None:
            packages.setdefault(package, []).append(file.name)
    return packages


def system_licence_texts(libraries: Path) -> list[str]:
    """Return a notice and the copyright file of each system package whose libraries are in a folder.

    Empty if the folder contains none, as on macOS. Raises `SystemExit` if this machine has no licence text for a
    library, because a library must be distributed with its licence.
    """
    packages = system_packages(libraries)
    if not packages:
        return []
    texts = [heading("Libraries of the system") + _NOTICE]
    for package, names in sorted(packages.items()):
        texts.append(heading(f"{package} ({', '.join(names)})") + _licence_of(package))
    return texts


def _package_of(path: Path) -> str | None:
    """Return the package and version that a library belongs to; None if no package has it (a self-built Python)."""
    # Debian lists some files by their paths from before /lib became a link to /usr/lib.
    for candidate in dict.fromkeys((path, Path("/usr") / path.relative_to("/"), path.resolve())):
        if shutil.which("dpkg-query"):
            found = _output("dpkg-query", "--search", str(candidate))
            if found:
                package = found.split(": ")[0].split(",")[0]
                return _output("dpkg-query", "--show", "--showformat=${Package} ${Version}", package)
        elif shutil.which("rpm"):
            found = _output(
                "rpm", "--query", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}", "--file", str(candidate)
            )
            if found:
                return found
    return None


def _licence_of(package: str) -> str:
    name = package.split(maxsplit=1)[0]
    if shutil.which("dpkg-query"):
        files = [_COPYRIGHTS / name / "copyright"]
    else:
        files = [Path(line) for line in (_output("rpm", "--query", "--licensefiles", name) or "").splitlines()]
    texts = [file.read_text("utf-8", errors="replace") for file in files if file.is_file()]
    if not texts:
        raise SystemExit(f"The licence of {package} is not on this machine: install its documentation, then make dist.")
    return "\n".join(texts)


def _output(*command: str) -> str | None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands
    return done.stdout.strip() or None if done.returncode == 0 else None
