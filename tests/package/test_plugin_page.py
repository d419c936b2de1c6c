"""What Grafana shows about the plugin: no relative links, a changelog with a date, the addresses in plugin.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from plugin import plugin_page
from plugin.catalogue_rules import catalogue_problems
from plugin.plugin_page import PAGE, absolute_links, add_links, dated_changelog, repository_url

from tests.docs.pages import links
from tests.support.places import ROOT

REPOSITORY = "https://git.example.org/hpc/ceems-grafana"
TEXT = """# Title

![A picture](../../img/logo.svg)

- [settings](../../docs/configure.md#limits), [CEEMS](https://ceems.example.org/), [above](#title)
"""


def test_links_lead_to_the_repository() -> None:
    assert (
        absolute_links(TEXT, PAGE, REPOSITORY)
        == f"""# Title

![A picture]({REPOSITORY}/raw/main/img/logo.svg)

- [settings]({REPOSITORY}/blob/main/docs/configure.md#limits), [CEEMS](https://ceems.example.org/), [above](#title)
"""
    )


def test_without_a_repository_the_text_of_links_remains() -> None:
    assert (
        absolute_links(TEXT, PAGE, None)
        == """# Title

- settings, [CEEMS](https://ceems.example.org/), [above](#title)
"""
    )


def test_links_of_the_page_lead_to_files_that_are_there() -> None:
    found = [link.partition("#")[0] for link in links(PAGE) if "://" not in link]
    assert len(found) > 10
    assert [link for link in found if not (PAGE.parent / link).exists()] == []


@pytest.mark.parametrize("repository", [None, REPOSITORY])
def test_the_texts_keep_the_rules_of_the_catalogue(repository: str | None, tmp_path: Path) -> None:
    plugin: dict[str, Any] = json.loads((ROOT / "plugin.json").read_text())
    plugin["info"]["version"] = "9.8.7"
    add_links(plugin["info"], repository)
    (tmp_path / "README.md").write_text(absolute_links(PAGE.read_text(), PAGE, repository))
    (tmp_path / "CHANGELOG.md").write_text(dated_changelog("## Unreleased\n\n- All.\n", "9.8.7", "2026-11-27"))
    (tmp_path / "img").symlink_to(ROOT / "img")
    assert list(catalogue_problems(tmp_path, plugin)) == []
    assert plugin["info"]["author"]["url"] == (repository or "https://github.com/ceems-dev/ceems")
    assert (f"{REPOSITORY}/issues" in json.dumps(plugin)) == (repository is not None)


def test_the_changelog_of_a_version_that_is_not_released_is_dated() -> None:
    text = "# Changelog\n\n## Unreleased\n\n- Two.\n\n## 1.0.0 - 2026-10-01\n\n- One.\n"
    assert dated_changelog(text, "1.1.0", "2026-11-27") == text.replace("Unreleased", "1.1.0 - 2026-11-27")
    assert dated_changelog(text, "1.0.0", "2026-11-27") == text


def test_the_address_is_that_of_pyproject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_page, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n[project.urls]\nRepository = "{REPOSITORY}/"\n')
    assert repository_url() == REPOSITORY
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert repository_url() is None


def test_pre_releases_of_grafana_may_load_the_plugin() -> None:
    dependencies = json.loads((ROOT / "plugin.json").read_text())["dependencies"]
    assert dependencies["grafanaDependency"] == ">=11.6.0-0"
