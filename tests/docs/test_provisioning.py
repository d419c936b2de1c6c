"""How Grafana expands values in provisioning files: in those that the pages show, and in those that are shipped."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # of another package's needs, without types

from tests.docs.pages import PAGES, ROOT

SHIPPED = sorted((ROOT / "deploy" / "provisioning" / "datasources").glob("*.yaml"))
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_READ_BY_GRAFANA = re.compile(r"\$__(?:file|env|vault)\{[^}]*\}")
# As Go's os.ExpandEnv: a name, in braces or not, or one special character. Without a closing brace, "${" is lost.
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|\{|(\w+|[*#$@!?-]))")


def expanded(value: str, environment: Mapping[str, str]) -> str:
    """Return the expanded text: ``$$`` stands for a dollar sign, other variables come from the environment."""

    def held(match: re.Match[str]) -> str:
        return environment.get(match[1] or match[2] or "", "")

    return "$".join(_VARIABLE.sub(held, _READ_BY_GRAFANA.sub("read", part)) for part in value.split("$$"))


def texts(part: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of a file with the names of their keys."""
    if isinstance(part, str):
        yield name, part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from texts(value, str(key))
    elif isinstance(part, list):
        for value in part:
            yield from texts(value, name)


def shown() -> list[tuple[str, str]]:
    blocks = [block for page in PAGES for block in _YAML.findall(page.read_text("utf-8"))]
    files = [file.read_text("utf-8") for file in SHIPPED]
    return [found for text in (*blocks, *files) for found in texts(yaml.safe_load(text))]


def test_templates_reach_the_plugin_with_their_variables() -> None:
    templates = {text for name, text in shown() if name.endswith("QueryTemplate")}
    assert templates
    for template in templates:
        assert "${uuid}" in expanded(template, {"uuid": "lost", "cluster_id": "lost"}), template


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_no_shipped_value_depends_on_the_environment_by_accident(file: Path) -> None:
    for name, text in texts(yaml.safe_load(file.read_text("utf-8"))):
        left = _READ_BY_GRAFANA.sub("", text).replace("$$", "")
        assert "$" not in left, name


@pytest.mark.parametrize(
    ("written", "passed_on"),
    [
        ("$HOME and ${HOME}", "/root and /root"),
        ("a$NOTHING-${NOTHING}b", "a-b"),
        ("$${uuid} costs 5$$", "${uuid} costs 5$"),
        ("$$$HOME", "$/root"),
        ("$__file{/a}", "read"),
    ],
)
def test_expansion(written: str, passed_on: str) -> None:
    assert expanded(written, {"HOME": "/root"}) == passed_on
