"""Files that run outside this repository's tests: workflows, dependabot, templates and hooks name only what exists."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # of another package's needs, without types

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
_TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}")


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _make_targets() -> set[str]:
    return set(_TARGET.findall((ROOT / "Makefile").read_text() + (ROOT / "packaging" / "package.mk").read_text()))


def _steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in _load(path)["jobs"].values():
        yield from job["steps"]


def _called_targets(script: str) -> Iterator[str]:
    """Yield the targets of each `make` command of a shell script."""
    for line in re.split(r"\n|&&|;|\|", _EXPRESSION.sub("EXPRESSION", script)):
        words = shlex.split(line, comments=True)
        if words and words[0] == "make":
            arguments = words[1:]
            if ">" in arguments:
                arguments = arguments[: arguments.index(">")]
            yield from (word for word in arguments if not word.startswith("-") and "=" not in word)


def test_called_targets_are_found_in_scripts() -> None:
    script = "set -e\nmake --silent notes TAG=${{ a.b }} > notes.md\nmkdir x && make package test A=1 # make no\n"
    assert list(_called_targets(script)) == ["notes", "package", "test"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_targets_and_scripts_that_exist(path: Path) -> None:
    called: list[str] = []
    for step in _steps(path):
        assert ("run" in step) != ("uses" in step), step
        called += _called_targets(step.get("run", ""))
        for script in re.findall(r"(?:^|\s)(\.ci/\w+)", step.get("run", "")):
            assert os.access(ROOT / script, os.X_OK), script
            called += _called_targets((ROOT / script).read_text())
    assert called
    assert set(called) <= _make_targets()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_what_github_needs(path: Path) -> None:
    content = _load(path)
    assert content["name"]
    assert content[True]  # YAML 1.1 reads the key `on` as a boolean
    assert content["permissions"] == {"contents": "read"}
    jobs = content["jobs"]
    for job in jobs.values():
        assert job["runs-on"]
        assert job["timeout-minutes"] <= 60
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= set(jobs)
    for step in _steps(path):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])
    for file in re.findall(r"(?:dependency-path|version-file): (\S+)", path.read_text()):
        assert (ROOT / file).is_file(), file


def test_ci_tests_the_oldest_python_that_the_package_supports() -> None:
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest is not None
    assert (
        oldest[1] in _load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["quick"]["strategy"]["matrix"]["python"]
    )


def test_dependabot_looks_into_folders_that_have_dependencies() -> None:
    manifests = {
        "pip": "requirements.lock",
        "npm": "package-lock.json",
        "gomod": "go.mod",
        "github-actions": ".github/workflows/ci.yml",
    }
    updates = _load(ROOT / ".github" / "dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == set(manifests)
    for update in updates:
        assert (ROOT / update["directory"].strip("/") / manifests[update["package-ecosystem"]]).is_file(), update


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_form_has_what_github_needs(name: str) -> None:
    form = _load(ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_hooks_are_local_and_run_the_projects_own_tools() -> None:
    (repository,) = _load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    hooks = {hook["id"]: hook for hook in repository["hooks"]}
    assert set(hooks) == {"ruff", "ruff-format", "mypy", "prettier", "eslint"}
    assert all(hook["language"] == "system" for hook in hooks.values())
    for hook in hooks.values():
        program = shlex.split(hook["entry"])[0]
        assert program == "bash" or (ROOT / program).parent == ROOT / ".venv" / "bin"
