"""Pages name only what exists: the targets of links, and the files and symbols of the developers' pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import (
    PAGES,
    ROOT,
    anchors,
    links,
    named_paths,
    named_symbols,
    path_exists,
    symbol_exists,
)

# Pages whose paths are those of this repository. Other pages also name files of the hosts they describe.
DEVELOPERS_PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "docs/releasing.md", "docs/testing.md")
# Results of builds, which a fresh clone does not have.
MADE = ("dist/", "build/")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(file), f"{link} leads to no heading"


@pytest.mark.parametrize("name", DEVELOPERS_PAGES)
def test_every_file_that_a_developers_page_names_exists(name: str) -> None:
    named = list(named_paths(ROOT / name))
    assert len(named) > 2
    assert [path for path in named if not path_exists(path) and not path.startswith(MADE)] == []


@pytest.mark.parametrize("name", DEVELOPERS_PAGES)
def test_every_symbol_that_a_developers_page_names_exists(name: str) -> None:
    assert [symbol for symbol in named_symbols(ROOT / name) if not symbol_exists(symbol)] == []


def test_the_architecture_page_names_files_and_symbols() -> None:
    page = ROOT / "docs" / "architecture.md"
    assert len(set(named_paths(page))) > 40
    assert len(set(named_symbols(page))) >= 5


@pytest.mark.parametrize("path", ["ceems_grpc/nowhere.py", "store/nowhere/", "datasource.py/"])
def test_a_path_that_is_not_there_is_noticed(path: str) -> None:
    assert not path_exists(path)


@pytest.mark.parametrize("symbol", ["domain.nowhere.Nothing", "domain.service.Nothing", "domain.service.Ceems.nothing"])
def test_a_symbol_that_is_not_there_is_noticed(symbol: str) -> None:
    assert not symbol_exists(symbol)


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert set((ROOT / "docs").glob("*.md")) - {index} <= linked


def test_the_page_about_testing_lists_every_folder_of_tests() -> None:
    folders = {
        f"tests/{path.name}"
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and any(path.glob("*.py")) and path.name != "__pycache__"
    }
    rows = {
        line.split("`")[1]
        for line in (ROOT / "docs" / "testing.md").read_text().splitlines()
        if line.startswith("| `tests/")
    }
    assert rows == folders


def test_the_glossary_is_in_order_and_defines_each_word_once() -> None:
    lines = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    words = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][2:]
    assert len(words) > 30
    assert words == sorted(set(words), key=str.lower)
