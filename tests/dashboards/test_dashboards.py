"""Every panel of every shipped dashboard, answered by the real process on a demo database: no error, nothing empty."""

import json
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio

from ceems_grpc.demo.database import write_demo_database
from tests.support.places import ROOT
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame

FOLDER = ROOT / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
BOARDS = {file.stem: json.loads(file.read_text()) for file in FILES}
DAYS = 30
Json = dict[str, Any]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "ceems.db"
    write_demo_database(path, units=4_000, days=60)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems(database: Path) -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(database) as running:
        yield running


def _window() -> tuple[int, int]:
    now = int(time.time() * 1000)
    return now - DAYS * 86_400_000, now


def test_days_are_those_of_the_viewer_and_add_up_to_the_numbers_beside_them() -> None:
    asked = [
        target
        for board in BOARDS.values()
        for panel in board["panels"]
        for target in panel.get("targets", [])
        if target["queryType"] == "usage-over-time"
    ]
    assert len(asked) >= 10
    for target in asked:
        steps = {key: target.get(key) for key in ("timezone", "step", "minStep", "source")}
        assert steps == {"timezone": "$__timezone", "step": "auto", "minStep": "day", "source": "prorated"}


def test_the_files_are_what_their_source_makes(tmp_path: Path) -> None:
    sys.path.insert(0, str(FOLDER))
    try:
        import make
    finally:
        sys.path.remove(str(FOLDER))
    made = {f"{board.uid}.json": board.as_json() for board in make.all_dashboards()}
    assert {file.name: json.loads(file.read_text()) for file in FILES} == made


def test_plugin_json_includes_each_dashboard() -> None:
    includes = json.loads((ROOT / "plugin.json").read_text())["includes"]
    dashboards = {item["path"]: item["name"] for item in includes if item["type"] == "dashboard"}
    titles = {f"dashboards/{file.name}": json.loads(file.read_text())["title"] for file in FILES}
    assert dashboards == titles


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_every_panel_has_data(ceems: CeemsPlugin, file: Path) -> None:
    board = BOARDS[file.stem]
    managers = {panel["targets"][0].get("resourceManagers", [""])[0] for panel in _panels(board)}
    login = await _busiest_user(ceems, next(iter(managers))) if "my" in file.stem else "admin"
    values = {"__user.login": login, **await _variables(ceems, board, login)}
    problems: list[str] = []
    for panel in _panels(board):
        models = {target["refId"]: _resolved(target, values) for target in panel["targets"]}
        for ref_id, response in (await ceems.query(login, models, _window())).items():
            tables = [read_frame(frame) for frame in response.frames]
            problem = response.error or _problem(panel, tables)
            if problem:
                problems.append(f"{panel['title']} ({ref_id}): {problem}; asked {models[ref_id]}")
    assert not problems, "\n".join(problems)


def _panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def _problem(panel: Json, tables: list[pa.Table]) -> str:
    rows = sum(table.num_rows for table in tables)
    if not rows:
        return "no rows"
    names = {name for table in tables for name in table.column_names}
    numbers = [c for t in tables for n, c in zip(t.column_names, t.columns, strict=True) if n != "time"]
    if all(column.null_count == len(column) for column in numbers):
        return f"nothing but nulls in {sorted(names)}"
    wanted = panel["options"].get("reduceOptions", {}).get("fields", "")
    if wanted and not any(re.search(wanted.strip("/"), name) for name in names):
        return f"no field matches {wanted}"
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byName" and matcher["options"] not in names:
            return f"no column {matcher['options']} in {sorted(names)}"
    return ""


def _resolved(target: Json, values: dict[str, str | None]) -> Json:
    """Replace variables as the frontend does: All (None here) removes the condition."""

    def text(value: str) -> str | None:
        gone = False

        def replace(match: re.Match[str]) -> str:
            nonlocal gone
            found = values[match[1] or match[2]]
            gone = gone or found is None
            return found or ""

        replaced = re.sub(r"\$\{([\w.]+)\}|\$(\w+)", replace, value)
        return None if gone else replaced

    model: Json = {}
    for key, value in target.items():
        if key == "filters":
            model[key] = [
                item | {"value": kept} for item in value if (kept := [one for one in map(text, item["value"]) if one])
            ]
        elif isinstance(value, list):
            model[key] = [one for one in map(text, value) if one is not None]
        elif key != "datasource":
            model[key] = value
    return model


async def _variables(ceems: CeemsPlugin, board: Json, login: str) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    unit_cluster = ""
    for variable in board["templating"]["list"]:
        match variable["type"]:
            case "datasource":
                values[variable["name"]] = "ceems"
            case "query":
                query = _resolved(variable["query"], values)
                asked = "&".join(f"cluster_id={cluster}" for cluster in query.get("clusters", []))
                found = (await ceems.resource(login, f"suggest/{query['kind']}", asked)).json["data"]
                assert found, f"variable {variable['name']} has no values"
                values[variable["name"]] = None if variable["includeAll"] else found[0]["value"]
            case "textbox":
                # Only used by the dashboard of one unit: a GPU job, which has values everywhere.
                if variable["name"] == "started":  # only links set it
                    values["started"] = ""
                    continue
                assert variable["name"] == "uuid"
                model: Json = {"queryType": "units", "admin": True, "fields": ["uuid", "cluster_id"], "limit": 1}
                gpus = [{"key": "avg_gpu_usage.global", "operator": ">", "value": 1.0}]
                unit = (await ceems.table("admin", {**model, "filters": gpus}, _window())).to_pylist()[0]
                unit_cluster = unit["cluster_id"]
                values["uuid"] = unit["uuid"]
    # The variable of the cluster follows that of the unit, whose link sets both.
    return values | ({"cluster": unit_cluster} if unit_cluster else {})


async def _busiest_user(ceems: CeemsPlugin, manager: str) -> str:
    """Return a user of a resource manager who also used GPUs, so that every gauge has a value."""
    model = {
        "queryType": "usage",
        "admin": True,
        "groupBy": ["username"],
        "exactGroupBy": True,
        "resourceManagers": [manager],
        "fields": ["username", "avg_gpu_usage.global", "num_units"],
        "orderBy": ["-num_units"],
    }
    rows = (await ceems.table("admin", model, _window())).to_pylist()
    return str(next(row["username"] for row in rows if row.get("avg_gpu_usage.global")))
