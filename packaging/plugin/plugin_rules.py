"""Grafana's rules for a plugin's folder. `make dist` fails if the folder breaks one.

The rules come from Grafana's documentation of plugin.json and packaging, and from its installer and loader. The
catalogue's rules are in catalogue_rules.py. docs/packaging.md describes how to run @grafana/plugin-validator, which
checks more but must be downloaded.
"""

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plugin_facts import libraries_name

from plugin.catalogue_rules import catalogue_problems

_ID = re.compile(r"[0-9a-z]+-([0-9a-z]+-)?datasource")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_GRAFANA = re.compile(r"(<=|>=|<|>|=|~|\^)?\d+(\.[\dx*]+){1,2}(-0)?(\s(<=|>=|<|>)?\d+(\.[\dx]+){1,2})?")
_PLATFORM = re.compile(r"(linux|darwin)_(amd64|arm64)")
_FILES = ("plugin.json", "module.js", "README.md", "CHANGELOG.md", "LICENSE")
# The installer writes files under the names in the zip, so these must be valid on every system.
_NAME = re.compile(r"[A-Za-z0-9_.+-]+")


def problems(folder: Path) -> list[str]:
    """Return a sentence for each rule that a plugin's folder breaks; an empty list if it breaks none."""
    found = [f"{name} is missing or empty." for name in _FILES if not _has_content(folder / name)]
    if (folder / "plugin.json").is_file():
        try:
            plugin = json.loads((folder / "plugin.json").read_text("utf-8"))
        except ValueError as error:
            return [*found, f"plugin.json is not JSON: {error}."]
        found += _in_plugin_json(plugin)
        found += _in_files(folder, plugin)
        found += catalogue_problems(folder, plugin)
    if _has_content(folder / "module.js") and "define(" not in (folder / "module.js").read_text("utf-8"):
        found.append("module.js is no AMD module: Grafana cannot load it.")
    found += _in_tree(folder)
    return found


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _in_plugin_json(plugin: dict[str, Any]) -> Iterator[str]:
    info = plugin.get("info", {})
    if plugin.get("type") != "datasource":
        yield "plugin.json: type is not datasource."
    if plugin.get("backend") is not True or not plugin.get("executable"):
        yield "plugin.json: backend must be true and executable name the program."
    if not plugin.get("name"):
        yield "plugin.json: name is missing."
    wanted = (
        (_ID, plugin.get("id"), "id is not of the form organisation-name-datasource"),
        (_VERSION, info.get("version"), "info.version is no version such as 1.2.3"),
        (_DATE, info.get("updated"), "info.updated is no date such as 2026-11-23"),
        (
            _GRAFANA,
            plugin.get("dependencies", {}).get("grafanaDependency"),
            "grafanaDependency is no range of versions",
        ),
    )
    for pattern, value, message in wanted:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            yield f"plugin.json: {message}."


def _in_files(folder: Path, plugin: dict[str, Any]) -> Iterator[str]:
    info = plugin.get("info", {})
    named = [info.get("logos", {}).get(size, "") for size in ("small", "large")]
    if not all(logo.endswith(".svg") for logo in named):
        yield "plugin.json: info.logos must name an SVG picture as small and as large."
    named += [shot.get("path", "") for shot in info.get("screenshots", [])]
    dashboards = [include.get("path", "") for include in plugin.get("includes", []) if include["type"] == "dashboard"]
    for name in sorted({name for name in named + dashboards if name}):
        if not (folder / name).is_file():
            yield f"plugin.json names {name}, which is not there."
    for path in sorted(folder.glob("dashboards/*")):
        if f"dashboards/{path.name}" not in dashboards:
            yield f"dashboards/{path.name} is not among the includes of plugin.json."
    programs = [
        path
        for path in folder.glob(f"{plugin.get('executable')}_*")
        if _PLATFORM.fullmatch(path.name.removeprefix(f"{plugin.get('executable')}_"))
    ]
    if not programs:
        yield "There is no program for any platform."
    for path in sorted(programs):
        if not path.is_file() or not os.access(path, os.X_OK):
            yield f"{path.name} is no file that may be executed."
        if not _has_content(folder / libraries_name(path.name) / "LICENSES.txt"):
            yield f"{libraries_name(path.name)}/LICENSES.txt is missing: the licences of what the program contains."


def _in_tree(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            yield f"{name} is a link or no plain file: Grafana's installer would leave it out."
        if path.name.startswith("."):
            yield f"{name} is a hidden file, which no plugin needs."
        if not _NAME.fullmatch(path.name):
            yield f"{name} has a letter in its name that not every system can store."
