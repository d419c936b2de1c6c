"""Writes build/sources, laid out as Grafana's validator expects: src and a package.json with the version at the top.

In the repository, both are in frontend/, and the version is only in ceems_grpc/version.py.
"""

import json
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

from plugin_facts import BUILD, ROOT

from ceems_grpc.version import VERSION


def write_validator_sources(target: Path) -> None:
    """Replace a folder with the files of the last commit, and put the frontend's sources and package.json at its top.

    Raises `SystemExit` with a sentence if this folder is not a clone.
    """
    git = shutil.which("git") or "git"
    done = subprocess.run([git, "-C", str(ROOT), "archive", "HEAD"], capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"The sources cannot be read from git: {done.stderr.decode().strip()}")
    shutil.rmtree(target, ignore_errors=True)
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")
    package = json.loads((target / "frontend" / "package.json").read_text("utf-8"))
    (target / "package.json").write_text(json.dumps({**package, "version": VERSION}, indent=2) + "\n", "utf-8")
    shutil.copyfile(target / "frontend" / "package-lock.json", target / "package-lock.json")
    shutil.copytree(target / "frontend" / "src", target / "src")


if __name__ == "__main__":
    write_validator_sources(BUILD / "sources")
    sys.stdout.write(f"{BUILD / 'sources'}\n")
