"""Every query in the editor's examples, the documentation and the alert rules returns rows from a demo database."""

import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ceems_grpc.demo.database import write_demo_database
from ceems_grpc.panels.query_keys import unknown_keys
from tests.dashboards.examples import documented_commands, documented_queries, editor_examples, rule_queries
from tests.support.command import ceems_grpc
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame

DAYS = 30
QUERIES = [
    *(("editor", query) for query in editor_examples()),
    *documented_queries(),
    *(("rules", query) for query in rule_queries()),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "ceems.db"
    write_demo_database(path, units=4_000, days=60)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems(database: Path) -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(database) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def member(ceems: CeemsPlugin) -> str:
    """Return the user with the most units, who sees rows as an ordinary user too."""
    model = {"queryType": "usage", "admin": True, "groupBy": ["username"], "exactGroupBy": True, "fields": ["username"]}
    rows = (await ceems.table("admin", {**model, "orderBy": ["-num_units"], "limit": 1}, _window())).to_pylist()
    return str(rows[0]["username"])


def _window() -> tuple[int, int]:
    now = int(time.time() * 1000)
    return now - DAYS * 86_400_000, now


def test_there_are_queries_of_each_kind() -> None:
    assert len(editor_examples()) >= 7
    assert len(documented_queries()) >= 3
    assert len(documented_commands()) >= 5
    assert len(rule_queries()) >= 3


@pytest.mark.parametrize(("place", "query"), QUERIES)
def test_a_query_has_no_typing_errors(place: str, query: dict[str, Any]) -> None:
    assert unknown_keys(json.dumps(query).encode()) == (), place


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("place", "query"), QUERIES)
async def test_a_query_brings_rows(ceems: CeemsPlugin, member: str, place: str, query: dict[str, Any]) -> None:
    login = "admin" if query.get("admin") else member
    (response,) = (await ceems.query(login, {"A": query}, _window())).values()
    assert not response.error, (place, query)
    tables = [read_frame(frame) for frame in response.frames]
    assert sum(table.num_rows for table in tables), (place, query)
    names = {name for table in tables for name in table.column_names}
    labels = {field.name for table in tables for field in table.schema}
    for field in query.get("fields", []) if query.get("queryType") != "usage-over-time" else []:
        assert any(f"{name}.".startswith(f"{field}.") for name in names | labels), (field, sorted(names))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("arguments", documented_commands(), ids=" ".join)
async def test_a_command_brings_rows(database: Path, member: str, arguments: list[str]) -> None:
    dates = iter(f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}" for days in (DAYS, 0))
    given = [next(dates) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text for text in arguments]
    if "--user" in given:
        given[given.index("--user") + 1] = member
    if "--format" in given:
        given[given.index("--format") + 1] = "json"
    else:
        given += ["--format", "json"]
    if "--from" not in given:
        given += ["--from", f"now-{DAYS}d"]
    done = ceems_grpc("query", database, *given)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout), given
