"""Builds the program and the frontend again and compares them with build/, byte for byte.

The second builds start from nothing, in other folders. The exit code is 1 if a file differs.
"""

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

from plugin_facts import BUILD, FRONTEND, PROGRAMS, ROOT, program_name
from program.build_program import build_program

_AGAIN = BUILD / "again"


def differences(one: Path, other: Path) -> list[str]:
    """Return the files that only one of two folders has, or that differ in content or in being executable."""
    first, second = _files(one), _files(other)
    return sorted(
        name
        for name in first | second
        if not (name in first and name in second)
        or not filecmp.cmp(one / name, other / name, shallow=False)
        or (one / name).stat().st_mode & 0o111 != (other / name).stat().st_mode & 0o111
    )


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def main() -> int:
    """Build both again and print the differences."""
    shutil.rmtree(_AGAIN, ignore_errors=True)
    program = build_program(_AGAIN / "program", _AGAIN / "work", _AGAIN / "cache")
    found = [f"{program_name()}/{name}" for name in differences(PROGRAMS / program_name(), program)]
    npm = shutil.which("npm") or "npm"
    command = [npm, "--prefix", "frontend", "run", "build", "--", "--output-path", str(_AGAIN / "frontend")]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - fixed arguments
    stamps = {".built"}  # make's, not the build's
    found += [f"frontend/{name}" for name in differences(FRONTEND, _AGAIN / "frontend") if name not in stamps]
    if found:
        sys.stderr.write("A second build differs:\n" + "".join(f"  {name}\n" for name in found))
        return 1
    shutil.rmtree(_AGAIN)
    sys.stdout.write("Two builds are equal, byte for byte.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
