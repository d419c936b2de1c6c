"""The dashboards of these tests, and helpers that examine dashboards."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ceems_grpc.migrate.dashboards.migration import migrate
from ceems_grpc.migrate.panels.panel import Options
from ceems_grpc.migrate.report import CEEMS, INFINITY, Json

FOLDER = Path(__file__).parent / "dashboards"
NAMES = ("shared", "beside", "ways", "left", "rows", "chart")


def load(name: str) -> Json:
    document: Json = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document


def migrated(name: str, **options: Any) -> Json:
    return inner(migrate(load(name), Options(**options)).dashboard)


def inner(document: Json) -> Json:
    board: Json = document.get("dashboard", document)
    return board


def panels(document: Json) -> Iterator[Json]:
    """Yield all panels, including library panels."""
    board = inner(document)
    models = [element["model"] for element in board.get("__elements", {}).values()]
    queue = [*board.get("panels", []), *models, *(p for row in board.get("rows", []) for p in row["panels"])]
    for panel in queue:
        yield panel
        yield from panel.get("panels", [])


def panel(document: Json, title: str) -> Json:
    return next(p for p in panels(document) if p.get("title") == title and "libraryPanel" not in p)


def variable(document: Json, name: str) -> Json:
    found: Json = next(v for v in inner(document)["templating"]["list"] if v["name"] == name)
    return found


def our_targets(document: Json) -> Iterator[tuple[Json, Json]]:
    for one in panels(document):
        for target in one.get("targets", []):
            if (target.get("datasource") or {}).get("type") == CEEMS:
                yield one, target


def is_infinity(part: Json) -> bool:
    return (part.get("datasource") or {}).get("type") == INFINITY


def filled(part: Any, values: dict[str, str | list[str]]) -> Any:
    """Replace variables as the frontend does: a variable with several values in a list becomes several texts."""
    if isinstance(part, dict):
        return {key: filled(value, values) for key, value in part.items()}
    if isinstance(part, list):
        return [
            new for item in part for new in (_texts(item, values) if isinstance(item, str) else [filled(item, values)])
        ]
    return _texts(part, values)[0] if isinstance(part, str) else part


def _texts(text: str, values: dict[str, str | list[str]]) -> list[str]:
    match = re.search(r"\$\{([\w-]+)(?::[^}]*)?\}|\$([A-Za-z_]\w*)", text)
    if match is None:
        return [text]
    value = values[match[1] or match[2]]
    found = value if isinstance(value, list) else [value]
    return [new for one in found for new in _texts(text[: match.start()] + one + text[match.end() :], values)]


def shown_names(names: list[str], steps: list[Json], values: dict[str, str | list[str]]) -> list[str]:
    """Follow the names of columns through Grafana's transformations, which replace variables in values only."""
    for step in steps:
        options: Json = {
            key: value if isinstance(value, dict) and key.endswith("ByName") else filled(value, values)
            for key, value in step["options"].items()
        }
        match step["id"]:
            case "organize":
                renames = {old: filled(new, values) for old, new in options["renameByName"].items()}
                names = [renames.get(name, name) for name in names if not options["excludeByName"].get(name)]
            case "renameByRegex":
                pattern = options["regex"].strip("/")
                new = options["renamePattern"].replace("$1", r"\1")
                names = [re.sub(pattern, new, name, count=1) for name in names]
            case "filterFieldsByName":
                names = [name for name in names if re.search(options["include"]["pattern"], name)]
            case "calculateField":
                binary = options.get("binary", {}) if options["mode"] == "binary" else {}
                for side in binary.values():
                    if isinstance(side, dict) and "matcher" in side:
                        assert side["matcher"]["options"] in names, (side, names)
                assert set(options.get("reduce", {}).get("include", [])) <= set(names)
                names = [*names, options["alias"]]
            case "convertFieldType":
                assert {item["targetField"] for item in options["conversions"]} <= set(names)
            case "filterByValue":
                assert {item["fieldName"] for item in options["filters"]} <= set(names)
            case "joinByField":
                assert options["byField"] in names
            case other:
                assert other == "prepareTimeSeries"
    return names
