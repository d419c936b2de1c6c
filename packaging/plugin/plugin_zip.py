"""Builds the zip that Grafana's installer unpacks, and its checksum. The same folder always gives the same bytes.

A signature in the folder (MANIFEST.txt) is packed like any other file.
"""

import hashlib
import os
import stat
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from plugin_facts import BUILD, DIST, package_date, read_plugin_json

from plugin.plugin_rules import problems

# The earliest date that a zip can represent.
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
_READ_BYTES = 1 << 20
_DOS_DIRECTORY = 0x10


def write_zip(folder: Path, target: Path, *, top: str, when: datetime) -> str:
    """Pack a folder into a zip under one top folder, and write ``<zip>.sha256`` beside it; return that checksum.

    Entries are sorted by name and dated ``when`` (UTC). A folder's entry comes before those of its files, because some
    programs create only the folders that have an entry. Executable files stay executable. Otherwise, everybody may
    read and only the owner may write.
    """
    when = max(when.astimezone(UTC), _EARLIEST)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in sorted(_entries(folder, top)):
            entry = zipfile.ZipInfo(name, date_time=when.timetuple()[:6])
            entry.create_system = 3  # Unix, on every system: otherwise permissions are ignored
            if path.is_dir():
                entry.external_attr = (stat.S_IFDIR | 0o755) << 16 | _DOS_DIRECTORY
                archive.writestr(entry, b"")
                continue
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | (0o755 if os.access(path, os.X_OK) else 0o644)) << 16
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(entry, "w") as packed:
                while block := source.read(_READ_BYTES):
                    packed.write(block)
    unfinished.rename(target)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target.with_name(f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n", "utf-8")
    return digest


def _entries(folder: Path, top: str) -> Iterator[tuple[str, Path]]:
    """Yield the name in the zip and the path of a folder and of everything in it. A folder's name ends with a slash."""
    yield f"{top}/", folder
    for path in folder.rglob("*"):
        yield f"{top}/{path.relative_to(folder).as_posix()}{'/' if path.is_dir() else ''}", path


def zip_path() -> Path:
    """Return the path of the zip that `make package` builds from the current dist/."""
    plugin = read_plugin_json(DIST)
    return BUILD / f"{plugin['id']}-{plugin['info']['version']}.zip"


def main() -> int:
    """Pack dist/ if Grafana can load it."""
    if not (DIST / "plugin.json").is_file():
        raise SystemExit("There is no dist/plugin.json: run make dist first.")
    broken = problems(DIST)
    if broken:
        sys.stderr.write("dist/ is no whole plugin: run make dist.\n" + "".join(f"  {problem}\n" for problem in broken))
        return 1
    target = zip_path()
    digest = write_zip(DIST, target, top=read_plugin_json(DIST)["id"], when=package_date())
    sys.stdout.write(f"{target}: {target.stat().st_size / 1e6:.0f} MB, sha256 {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
