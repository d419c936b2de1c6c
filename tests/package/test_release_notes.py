"""Release notes are a section of CHANGELOG.md, which keeps the form that their extraction needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from release.release_notes import main, release_notes

from ceems_grpc.version import VERSION

ROOT = Path(__file__).parents[2]
CHANGELOG = """# Changelog

## Unreleased

### Fixed

- Three.

## 1.2.0 - 2026-11-23

### Added

- Two.

## 1.1.0 - 2026-10-01

- One.

## 1.0.0 - 2026-09-01
"""


def test_the_notes_are_the_section_of_the_version() -> None:
    assert release_notes(CHANGELOG, "1.2.0") == "### Added\n\n- Two.\n"
    assert release_notes(CHANGELOG, "1.1.0") == "- One.\n"


@pytest.mark.parametrize(
    ("version", "message"), [("1.0.0", "is empty"), ("1.3.0", "no section '## 1.3.0 - "), ("Unreleased", "no section")]
)
def test_a_version_without_notes_is_refused(version: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        release_notes(CHANGELOG, version)


def test_a_tag_must_name_the_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(f"# Changelog\n\n## {VERSION} - 2026-11-23\n\n- All of it.\n")
    assert main([f"v{VERSION}"], changelog) == 0
    assert capsys.readouterr().out == "- All of it.\n"
    with pytest.raises(SystemExit, match=f"v9.9.9 does not match version {VERSION}"):
        main(["v9.9.9"], changelog)


def test_a_release_comes_from_the_repository_that_the_package_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(f"# Changelog\n\n## {VERSION} - 2026-11-23\n\n- All of it.\n")
    here = "https://git.example.org/hpc/ceems"
    for known in (None, "https://git.example.org/other/ceems"):
        monkeypatch.setattr("release.release_notes.repository_url", lambda known=known: known)
        with pytest.raises(SystemExit, match=f"{known or 'no address'} as Repository .* comes from {here}"):
            main([f"v{VERSION}", here], changelog)
    monkeypatch.setattr("release.release_notes.repository_url", lambda: here)
    assert main([f"v{VERSION}", f"{here}/"], changelog) == 0
    assert capsys.readouterr().out == "- All of it.\n"


def test_the_changelog_has_dated_sections_in_falling_order_of_version() -> None:
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    releases = [title for title in titles if title != "Unreleased"]
    assert titles[: len(titles) - len(releases)] == ["Unreleased"] * (len(titles) - len(releases))
    assert len(titles) - len(releases) <= 1
    found = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - \d{4}-\d{2}-\d{2}", title) for title in releases]
    assert all(found), releases
    versions = [tuple(int(part) for part in match.groups()) for match in found if match]
    assert versions == sorted(set(versions), reverse=True)
    assert all(version <= tuple(int(part) for part in VERSION.split(".")) for version in versions)


def test_the_changelog_groups_its_changes() -> None:
    groups = set(re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert groups
