"""Links, files and symbols that the pages of this repository name."""

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
PACKAGE = ROOT / "ceems_grpc"

_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*(/|\.(py|ts|tsx|js|mjs|proto|md|toml|yaml|yml|json|mk|sql|service|conf))")
_SYMBOL = re.compile(r"[a-z_]+(\.[A-Za-z_]+)+")


def prose(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return _FENCED.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Return the targets of a page's links."""
    return _LINK.findall(_CODE.sub("", prose(page)))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(page))}


def named_paths(page: Path) -> Iterator[str]:
    """Yield the texts in backticks that have the form of a path."""
    yield from (text for text in _CODE.findall(prose(page)) if _PATH.fullmatch(text))


def named_symbols(page: Path) -> Iterator[str]:
    """Yield the texts in backticks that begin with a module of ceems_grpc, such as `store.create.x`."""
    for text in _CODE.findall(prose(page)):
        if _SYMBOL.fullmatch(text) and not _PATH.fullmatch(text) and text.split(".")[0] in _modules():
            yield text


def path_exists(path: str) -> bool:
    """Return whether a path names a file or folder, below ceems_grpc or from the top of the repository."""
    return any(
        (folder / path).is_dir() if path.endswith("/") else (folder / path).exists() for folder in (ROOT, PACKAGE)
    )


def symbol_exists(symbol: str) -> bool:
    """Return whether a dotted name below ceems_grpc can be imported: modules as far as they exist, then attributes."""
    found: object = importlib.import_module("ceems_grpc")
    name = "ceems_grpc"
    for part in symbol.split("."):
        name = f"{name}.{part}"
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
    return True


@cache
def _modules() -> frozenset[str]:
    return frozenset(path.stem for path in PACKAGE.iterdir() if path.suffix in {"", ".py"})
