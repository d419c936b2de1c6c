"""Collects what a release publishes in build/release: the zip, the SBOMs, the Python packages and SHA256SUMS."""

import hashlib
import shutil
import sys
from pathlib import Path

from plugin.plugin_zip import zip_path
from plugin_facts import BUILD

from ceems_grpc.version import VERSION


def collect_release(target: Path, files: list[Path]) -> Path:
    """Replace a folder with copies of files and SHA256SUMS, for `sha256sum --check`; return the path of SHA256SUMS.

    Raises `SystemExit` with a sentence if a file is missing.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    lines = []
    for file in sorted(files, key=lambda file: file.name):
        if not file.is_file():
            raise SystemExit(f"{file} is missing: run make release.")
        copy = Path(shutil.copyfile(file, target / file.name))
        with copy.open("rb") as content:
            lines.append(f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {file.name}\n")
    sums = target / "SHA256SUMS"
    sums.write_text("".join(lines), "utf-8")
    return sums


def main() -> int:
    """Collect the files of this version."""
    python = [path for path in (BUILD / "python").glob("ceems_grpc-*") if f"-{VERSION}" in path.name]
    sums = collect_release(BUILD / "release", [zip_path(), *(BUILD / "sbom").glob("*.cdx.json"), *python])
    sys.stdout.write(sums.read_text("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
