"""Makes what Grafana shows about the plugin: the page, the changelog and the links of plugin.json.

The address of the repository stands in one place: ``Repository`` in ``[project.urls]`` of pyproject.toml. Grafana shows
these texts outside the repository, so relative links become absolute, or plain text if there is no address.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from plugin_facts import ROOT

PAGE = Path(__file__).with_name("page.md")
CHANGELOG = ROOT / "CHANGELOG.md"
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
_BRANCH = "main"


def repository_url() -> str | None:
    """Return the address of the project's repository without a trailing slash; None if pyproject.toml has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    url: str | None = project.get("urls", {}).get("Repository")
    return url.rstrip("/") if url else None


def absolute_links(text: str, page: Path, repository: str | None) -> str:
    """Return the Markdown of a page of this repository, without relative links.

    Links to files of the repository lead to ``repository``. If it is None, a link becomes its text, and a line with
    a picture is left out.
    """
    lines = []
    for line in text.split("\n"):
        changed = _LINK.sub(lambda match: _absolute(match, page, repository), line)
        if changed.strip() or not line.strip():
            lines.append(changed)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _absolute(match: re.Match[str], page: Path, repository: str | None) -> str:
    target = match["target"]
    if "://" in target or target.startswith(("#", "mailto:")):
        return match[0]
    if repository is None:
        return "" if match["picture"] else match["text"]
    file, hash_sign, anchor = target.partition("#")
    path = (page.parent / file).resolve().relative_to(ROOT).as_posix()
    kind = "raw" if match["picture"] else "blob"
    return f"{match['picture']}[{match['text']}]({repository}/{kind}/{_BRANCH}/{path}{hash_sign}{anchor})"


def dated_changelog(text: str, version: str, date: str) -> str:
    """Return a changelog in which the version has a section with a date.

    Before a release, this is the section *Unreleased*: the package is the version as of that day.
    """
    if re.search(rf"^## {re.escape(version)} - ", text, re.MULTILINE):
        return text
    return re.sub(r"^## Unreleased$", f"## {version} - {date}", text, count=1, flags=re.MULTILINE)


def add_links(info: dict[str, Any], repository: str | None) -> None:
    """Add the project's addresses to the ``info`` of plugin.json. Add nothing if the repository is None."""
    if repository is None:
        return
    info["author"]["url"] = repository
    info["links"] += [
        {"name": "Documentation", "url": f"{repository}/blob/{_BRANCH}/docs/README.md"},
        {"name": "Source code", "url": repository},
        {"name": "Report an issue", "url": f"{repository}/issues"},
        {"name": "Licence", "url": f"{repository}/blob/{_BRANCH}/LICENSE"},
    ]
