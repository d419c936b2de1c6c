"""Builds the program for this machine with PyInstaller. The same sources on the same machine give the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

from plugin_facts import BUILD, PROGRAMS, ROOT, libraries_name, package_date, program_name

from program.launcher import make_launcher
from program.plugin_licences import licence_texts
from program.system_licences import system_licence_texts


def build_program(programs: Path, work: Path, cache: Path | None = None) -> Path:
    """Build the program, its launcher and its licences into ``programs``/NAME; return that folder.

    ``work`` is PyInstaller's work folder. ``cache`` is a folder for stripped libraries; by default, all builds share
    one. Raises `SystemExit` with a sentence if a step fails.
    """
    name = program_name()
    # SOURCE_DATE_EPOCH sets the dates of files; the hash seed fixes the order in which PyInstaller lists modules.
    fixed = {"PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": str(int(package_date().timestamp()))}
    config = {} if cache is None else {"PYINSTALLER_CONFIG_DIR": str(cache)}
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR", "--distpath", str(programs),
         "--workpath", str(work), str(Path(__file__).with_name("ceems.spec"))],
        cwd=ROOT, env={**os.environ, **fixed, **config}, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"PyInstaller ended with code {done.returncode}.")
    folder = programs / name
    if sys.platform == "linux":
        make_launcher(folder, name)
    libraries = folder / libraries_name(name)
    # The licences are written here because another machine has other libraries.
    texts = [licence_texts("ceems-grpc", frozenset({"terminal"})), *system_licence_texts(libraries)]
    (libraries / "LICENSES.txt").write_text("\n\n".join(texts), "utf-8")
    return folder


if __name__ == "__main__":
    build_program(PROGRAMS, BUILD / "pyinstaller")
