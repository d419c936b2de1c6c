"""Builds the program for linux_arm64 on another processor, in an arm64 Debian root that qemu-user emulates.

Needs root, debootstrap, and qemu-user-static registered with binfmt_misc. The root is created once, in
build/arm64-root. This machine's pip downloads the libraries. The result is in build/program, like that of
`make program`.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.utils import canonicalize_name
from plugin_facts import BUILD, PROGRAMS, ROOT, package_date

from program.plugin_licences import needed_by

_ROOT = BUILD / "arm64-root"
_PROGRAM = "gpx_ceems_linux_arm64"
_DEBIAN = "bookworm"  # no newer than what the wheels support
_PACKAGES = "python3,libpython3.11,binutils,gcc,libc6-dev"
_PYTHON = "3.11"
_WHEELS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
_SOURCES = ("ceems_grpc", "packaging", "plugin.json")
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)==[^\n]*(?:\n[ ]+[^\n]*)*")


def main() -> int:
    """Build the program and copy it into build/program. Raises `SystemExit` with a sentence if it cannot."""
    _require_tools()
    if not (_ROOT / "usr/bin/python3").exists():
        _make_root()
    _install_libraries(_ROOT / "opt/libraries")
    _copy_sources(_ROOT / "src")
    _in_root("python3", "-m", "program.build_program")
    target = PROGRAMS / _PROGRAM
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(_ROOT / "src/build/program" / _PROGRAM, target)
    sys.stdout.write(f"{target}\n")
    return 0


def _require_tools() -> None:
    if os.geteuid() != 0:
        raise SystemExit("Only root can create and enter a root folder: run this with sudo.")
    if shutil.which("debootstrap") is None:
        raise SystemExit("debootstrap is not installed (Debian: debootstrap).")
    if not Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists():
        raise SystemExit("This system does not run programs for arm64: install qemu-user-static and binfmt-support.")


def _make_root() -> None:
    unfinished = _ROOT.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    _run("debootstrap", "--arch=arm64", "--variant=minbase", f"--include={_PACKAGES}", _DEBIAN, str(unfinished))
    unfinished.rename(_ROOT)


def _install_libraries(folder: Path) -> None:
    """Install the locked versions of everything that the program and PyInstaller need, as wheels for arm64."""
    needed = {*needed_by("ceems-grpc", frozenset({"terminal"})), *needed_by("pyinstaller"), "packaging"}
    locked = _REQUIREMENT.finditer((ROOT / "requirements.lock").read_text("utf-8"))
    wanted = BUILD / "arm64-requirements.txt"
    wanted.write_text("\n".join(entry[0] for entry in locked if canonicalize_name(entry["name"]) in needed), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    platforms = [argument for name in _WHEELS for argument in ("--platform", name)]
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(folder)),
        *("--only-binary=:all:", "--python-version", _PYTHON, *platforms, "--requirement", str(wanted)),
    )
    # This project's own metadata says which libraries' licences to include.
    own = distribution("ceems-grpc")
    metadata = folder / f"ceems_grpc-{own.version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(str(own.read_text("METADATA")), "utf-8")


def _copy_sources(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def _in_root(*command: str) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": "/opt/libraries:/src:/src/packaging",
        "SOURCE_DATE_EPOCH": str(int(package_date().timestamp())),
    }
    _run("chroot", str(_ROOT), "/usr/bin/env", "--chdir=/src", *command, environment=environment)


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    program = shutil.which(command[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or command[0]
    done = subprocess.run([program, *command[1:]], env=environment, check=False)  # noqa: S603 - fixed arguments
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with code {done.returncode}.")


if __name__ == "__main__":
    sys.exit(main())
