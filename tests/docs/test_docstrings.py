"""Everything that docstrings and comments refer to by its full name, such as `ceems_grpc.store.create`, exists."""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PACKAGE, ROOT, symbol_exists

_REFERENCE = re.compile(r"`ceems_grpc\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)`")
_FOLDERS = (PACKAGE, ROOT / "tests", ROOT / "bench", ROOT / "examples", ROOT / "packaging")
_KINDS = (tokenize.COMMENT, tokenize.STRING)


def _texts(file: Path) -> Iterator[str]:
    """Yield the comments and strings of a file that contain references."""
    if not _REFERENCE.search(file.read_text("utf-8")):
        return
    with tokenize.open(file) as source:
        yield from (token.string for token in tokenize.generate_tokens(source.readline) if token.type in _KINDS)


def _references() -> dict[str, str]:
    """Return the referenced names, each with the first file that refers to it."""
    found: dict[str, str] = {}
    for folder in _FOLDERS:
        for file in sorted(folder.rglob("*.py")):
            if "pb" not in file.parts:
                for text in _texts(file):
                    for name in _REFERENCE.findall(text):
                        found.setdefault(name, str(file.relative_to(ROOT)))
    return found


REFERENCES = _references()


def test_references_are_found() -> None:
    assert len(REFERENCES) > 20


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_what_a_docstring_refers_to_exists(name: str) -> None:
    assert symbol_exists(name), f"{REFERENCES[name]} refers to `ceems_grpc.{name}`, which does not exist"
