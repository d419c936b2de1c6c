"""The rules of Grafana's public validator for what the catalogue shows: texts, links, pictures and the version.

Rules that no plugin in Python can meet are left out; docs/packaging.md lists them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MARKDOWN_LINK = re.compile(r"\[[^\]\n]+\]\(([^)\n]+)\)")
_ABSOLUTE = re.compile(r"https?://|mailto:|#")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PICTURES = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".gif": b"GIF8"}


def catalogue_problems(folder: Path, plugin: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each catalogue rule that a plugin's folder breaks. ``plugin`` is its plugin.json."""
    info = plugin.get("info", {})
    yield from _in_info(plugin, info)
    yield from _in_pictures(folder, info)
    yield from _in_texts(folder, str(info.get("version")))


def _in_info(plugin: dict[str, Any], info: dict[str, Any]) -> Iterator[str]:
    if plugin.get("name") and plugin["name"] == plugin.get("id"):
        yield "plugin.json: name is the id; it must be a name for people."
    if not info.get("description"):
        yield "plugin.json: info.description is missing."
    if not info.get("keywords"):
        yield "plugin.json: info.keywords is missing."
    author = info.get("author", {})
    if not author.get("name") or not _WEB_ADDRESS.fullmatch(author.get("url", "")):
        yield "plugin.json: info.author must have a name and a url that begins with https://."
    if not info.get("links"):
        yield "plugin.json: info.links is missing."
    for link in info.get("links", []):
        if not link.get("name") or not _WEB_ADDRESS.fullmatch(link.get("url", "")):
            yield "plugin.json: each of info.links must have a name and a url that begins with https://."


def _in_pictures(folder: Path, info: dict[str, Any]) -> Iterator[str]:
    if not info.get("screenshots"):
        yield "plugin.json: info.screenshots is missing."
    for shot in info.get("screenshots", []):
        path = folder / shot.get("path", "")
        start = _PICTURES.get(path.suffix)
        if start is None:
            yield f"plugin.json: the screenshot {shot.get('path')} is no PNG, JPEG or GIF picture by its name."
        elif path.is_file() and not path.read_bytes().startswith(start):
            yield f"{shot['path']} is no {path.suffix[1:].upper()} picture."


def _in_texts(folder: Path, version: str) -> Iterator[str]:
    for name in ("README.md", "CHANGELOG.md"):
        if not (folder / name).is_file():
            continue
        text = (folder / name).read_text("utf-8")
        for target in _MARKDOWN_LINK.findall(text):
            if not _ABSOLUTE.match(target):
                yield f"{name} has the relative link {target}, which leads nowhere in Grafana."
        if _COMMENT.search(text):
            yield f"{name} has a comment, which Grafana shows as text."
        if name == "CHANGELOG.md" and text.strip() and not _has_section(text, version):
            yield f"CHANGELOG.md has no section '## {version} - YYYY-MM-DD'."


def _has_section(changelog: str, version: str) -> bool:
    if not _VERSION.match(version):  # already reported as an invalid version
        return True
    return re.search(rf"^## {re.escape(version)} - \d{{4}}-\d{{2}}-\d{{2}}$", changelog, re.MULTILINE) is not None
