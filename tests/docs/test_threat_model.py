"""The threat model names tests for each line of its tables, and these tests exist."""

import re

import pytest

from tests.docs.pages import ROOT

_PAGE = (ROOT / "docs" / "security.md").read_text("utf-8").partition("# Threat model")[2]
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_TRUSTED = "| whoever writes `grafana.ini` or the environment of Grafana |"
_TABLES = {"Who can do what": 12, "How input is handled": 11}


def lines(heading: str) -> list[str]:
    """Return the rows of the table below a heading, without the table's header."""
    section = _PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][2:]


@pytest.mark.parametrize(("heading", "least"), _TABLES.items())
def test_each_line_names_tests(heading: str, least: int) -> None:
    found = lines(heading)
    assert len(found) >= least
    assert [line[:60] for line in found if not line.startswith(_TRUSTED) and not _TEST.search(line)] == []


def test_the_tests_exist() -> None:
    named = _TEST.findall(_PAGE)
    assert len(named) > 30
    assert [f"{file}::{name}" for file, name in named if not exists(file, name)] == []


def exists(file: str, name: str) -> bool:
    """Return whether a file of the repository defines a test with this name."""
    path = ROOT / file
    return path.is_file() and re.search(rf"^(async )?def {name}\(", path.read_text("utf-8"), re.MULTILINE) is not None


def test_a_test_that_was_renamed_is_noticed() -> None:
    assert exists("tests/docs/test_threat_model.py", "test_the_tests_exist")
    assert not exists("tests/docs/test_threat_model.py", "test_the_tests")
    assert not exists("tests/docs/nowhere.py", "test_the_tests_exist")
