"""Every rule reports the folder that breaks it, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin.plugin_rules import problems

from tests.package.plugin_folders import PLUGIN, write_plugin

_Break = Callable[[Path], object]


def _with(**changes: Any) -> _Break:
    return lambda folder: (folder / "plugin.json").write_text(json.dumps(PLUGIN | changes))


def _with_info(**changes: Any) -> _Break:
    return _with(info=PLUGIN["info"] | changes)


_BROKEN: dict[str, _Break] = {
    "plugin.json is missing or empty.": lambda folder: (folder / "plugin.json").unlink(),
    "plugin.json is not JSON: Expecting value: line 1 column 1 (char 0).": lambda folder: (
        folder / "plugin.json"
    ).write_text("no"),
    "LICENSE is missing or empty.": lambda folder: (folder / "LICENSE").unlink(),
    "README.md is missing or empty.": lambda folder: (folder / "README.md").write_text(""),
    "module.js is no AMD module: Grafana cannot load it.": lambda folder: (folder / "module.js").write_text(
        "export {}"
    ),
    "plugin.json: type is not datasource.": _with(type="panel"),
    "plugin.json: backend must be true and executable name the program.": _with(backend=False),
    "plugin.json: name is missing.": _with(name=""),
    "plugin.json: id is not of the form organisation-name-datasource.": _with(id="ceems"),
    "plugin.json: info.keywords is missing.": _with_info(keywords=[]),
    "plugin.json: info.version is no version such as 1.2.3.": _with_info(version="1.2"),
    "plugin.json: info.updated is no date such as 2026-11-23.": _with_info(updated="today"),
    "plugin.json: grafanaDependency is no range of versions.": _with(dependencies={}),
    "plugin.json: info.logos must name an SVG picture as small and as large.": _with_info(
        logos={"small": "img/logo.svg", "large": "img/units.png"}
    ),
    "plugin.json: name is the id; it must be a name for people.": _with(name=PLUGIN["id"]),
    "plugin.json: info.description is missing.": _with_info(description=""),
    "plugin.json: info.author must have a name and a url that begins with https://.": _with_info(
        author={"name": "Authors"}
    ),
    "plugin.json: info.links is missing.": _with_info(links=[]),
    "plugin.json: each of info.links must have a name and a url that begins with https://.": _with_info(
        links=[{"name": "Home", "url": "docs/README.md"}]
    ),
    "plugin.json: info.screenshots is missing.": _with_info(screenshots=[]),
    "plugin.json: the screenshot img/logo.svg is no PNG, JPEG or GIF picture by its name.": _with_info(
        screenshots=[{"name": "Logo", "path": "img/logo.svg"}]
    ),
    "img/units.png is no PNG picture.": lambda folder: (folder / "img" / "units.png").write_bytes(b"GIF89a"),
    "README.md has the relative link docs/deploy.md, which leads nowhere in Grafana.": lambda folder: (
        folder / "README.md"
    ).write_text("[deploy](docs/deploy.md), [home](https://example.org/), [below](#below)"),
    "README.md has a comment, which Grafana shows as text.": lambda folder: (folder / "README.md").write_text(
        "# CEEMS\n<!-- to\ndo -->\n"
    ),
    "CHANGELOG.md has no section '## 1.2.3 - YYYY-MM-DD'.": lambda folder: (folder / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- All of it.\n"
    ),
    "plugin.json names img/units.png, which is not there.": lambda folder: (folder / "img" / "units.png").unlink(),
    "plugin.json names dashboards/one.json, which is not there.": lambda folder: (
        folder / "dashboards" / "one.json"
    ).unlink(),
    "dashboards/one.json is not among the includes of plugin.json.": _with(includes=[]),
    "There is no program for any platform.": lambda folder: (folder / "gpx_ceems_linux_amd64").rename(
        folder / "gpx_ceems_windows_amd64.exe"
    ),
    "gpx_ceems_linux_amd64 is no file that may be executed.": lambda folder: (folder / "gpx_ceems_linux_amd64").chmod(
        0o644
    ),
    "gpx_ceems_linux_amd64_libs/LICENSES.txt is missing: the licences of what the program contains.": lambda folder: (
        folder / "gpx_ceems_linux_amd64_libs" / "LICENSES.txt"
    ).unlink(),
    "img/link.svg is a link or no plain file: Grafana's installer would leave it out.": lambda folder: (
        folder / "img" / "link.svg"
    ).symlink_to("logo.svg"),
    ".built is a hidden file, which no plugin needs.": lambda folder: (folder / ".built").touch(),
    "img/my logo.svg has a letter in its name that not every system can store.": lambda folder: (
        folder / "img" / "my logo.svg"
    ).write_text("x"),
}


def test_a_whole_folder_breaks_no_rule(tmp_path: Path) -> None:
    assert problems(write_plugin(tmp_path)) == []


@pytest.mark.parametrize("problem", _BROKEN)
def test_a_broken_folder_is_told_so(problem: str, tmp_path: Path) -> None:
    write_plugin(tmp_path)
    _BROKEN[problem](tmp_path)
    assert problems(tmp_path) == [problem]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path)) == 5
    write_plugin(tmp_path)
    for name in ("LICENSE", "README.md"):
        (tmp_path / name).unlink()
    assert len(problems(tmp_path)) == 2


@pytest.mark.parametrize("versions", [">=11.6.0", ">=11.6.0-0", ">=11.6.0 <14.0.0", "^12.0.0", "12.x", "~11.6.1"])
def test_ranges_of_versions_that_grafana_reads(versions: str, tmp_path: Path) -> None:
    write_plugin(tmp_path)
    _with(dependencies={"grafanaDependency": versions})(tmp_path)
    assert problems(tmp_path) == []
