"""Builds the sdist and the wheel of ceems-grpc, with the compiled protocol, into build/python."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from plugin.plugin_page import absolute_links, repository_url
from plugin_facts import BUILD, ROOT, package_date

_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "ceems_grpc")
_BACKEND = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build_python_package(target: Path) -> tuple[Path, Path]:
    """Build an sdist, and a wheel from that sdist as pip would; return their paths.

    The protocol must have been compiled (`make proto`). Raises `SystemExit` with a sentence if it was not.
    """
    if not any((ROOT / "ceems_grpc" / "pb").glob("*_pb2_grpc.py")):
        raise SystemExit("The protocol is not compiled: run make proto.")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder, "sources")  # setuptools writes beside the sources
        sources.mkdir()
        for name in _SOURCES:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", ".generated"))
            else:
                shutil.copy(ROOT / name, sources / name)
        readme = ROOT / "README.md"
        (sources / "README.md").write_text(absolute_links(readme.read_text("utf-8"), readme, repository_url()), "utf-8")
        sdist = _build("build_sdist", sources, target)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        unpacked = Path(folder, sdist.name.removesuffix(".tar.gz"))
        return sdist, _build("build_wheel", unpacked, target)


def _build(what: str, sources: Path, target: Path) -> Path:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(int(package_date().timestamp()))}
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [sys.executable, "-c", _BACKEND, what, str(target)],
        cwd=sources, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{what} failed:\n{done.stdout}{done.stderr}")
    return target / done.stdout.split()[-1]


if __name__ == "__main__":
    for path in build_python_package(BUILD / "python"):
        sys.stdout.write(f"{path}\n")
