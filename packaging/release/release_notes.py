"""Prints the release notes of the current version: its section of CHANGELOG.md.

Arguments: [TAG [REPOSITORY]]. A tag must be `v` followed by the version in ceems_grpc/version.py. The address of the
repository must be the one in pyproject.toml, which the package shows to users.
"""

import re
import sys
from pathlib import Path

from plugin.plugin_page import repository_url
from plugin_facts import ROOT

from ceems_grpc.version import VERSION

_SECTION = re.compile(r"^## (?P<title>.+?)\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_RELEASE = re.compile(r"(?P<version>\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}")


def release_notes(changelog: str, version: str) -> str:
    """Return the text of a version's section, such as that of ``## 1.2.3 - 2026-11-23``.

    Raises `SystemExit` with a sentence if the section is missing or empty.
    """
    for section in _SECTION.finditer(changelog):
        release = _RELEASE.fullmatch(section["title"].strip())
        if release is not None and release["version"] == version:
            text = section["text"].strip()
            if text:
                return text + "\n"
            raise SystemExit(f"The section of version {version} in CHANGELOG.md is empty.")
    raise SystemExit(f"CHANGELOG.md has no section '## {version} - YYYY-MM-DD': see docs/releasing.md.")


def main(arguments: list[str], changelog: Path = ROOT / "CHANGELOG.md") -> int:
    """Check the tag and the repository's address, if they are given, and print the notes."""
    if arguments and arguments[0] != f"v{VERSION}":
        raise SystemExit(f"The tag {arguments[0]} does not match version {VERSION} in ceems_grpc/version.py.")
    if len(arguments) > 1 and arguments[1].rstrip("/") != repository_url():
        raise SystemExit(
            f"pyproject.toml has {repository_url() or 'no address'} as Repository in [project.urls], and this release "
            f"comes from {arguments[1]}: write that address there."
        )
    sys.stdout.write(release_notes(changelog.read_text("utf-8"), VERSION))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
