"""Columns that `ceems_grpc.schema` does not describe are answered according to their names and values."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.domain.answers.suggestions import SuggestionKind, SuggestQuestion
from ceems_grpc.domain.questions.model import (
    Filter,
    OrderBy,
    Selection,
    Source,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.rest.handlers.units import _texts
from ceems_grpc.schema import Type, declared_type
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.store.new_columns import POWER, TYPES, add_columns, fill, make_new, make_old
from tests.support.databases import PARIS, SUMMER

ANN = Viewer("ann")
SPAN = Window(SUMMER - 900, SUMMER + 900)
KEYS = (
    "total_custom_metrics.flops",
    "avg_custom_metrics.load",
    "min_custom_metrics.power",
    f"max_custom_metrics.{POWER}",
)


@asynccontextmanager
async def opened(path: Path, kind: str) -> AsyncIterator[Store]:
    store: Any = SqliteStore(path, zone=PARIS)
    if kind == "mirror":
        store = MirroredStore(store, MirrorSettings(folders=(path.parent / "cache",), interval=60, retry=0))
        assert await store.settled()
    try:
        yield store
    finally:
        await store.close()


async def units(ceems: Ceems, *fields: str, **more: Any) -> list[dict[str, Any]]:
    answer = await ceems.units(ANN, UnitsQuestion(SPAN, fields=("uuid", *fields), **more))
    assert answer.warnings == ()
    rows: list[dict[str, Any]] = answer.table.to_pylist()
    return rows


@pytest.fixture(params=["file", "mirror"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_fields_and_keys(tmp_path: Path, kind: str) -> None:
    async with opened(make_new(tmp_path / "ceems.db"), kind) as store:
        ceems = Ceems(store)
        rows = await units(ceems, *TYPES)
        assert rows == [
            {
                "uuid": "1",
                KEYS[0]: 1.0,
                KEYS[1]: 10.0,
                KEYS[2]: 5.0,
                KEYS[3]: 300.0,
                "labels.a.b/c": "x",
                "labels.n": "[1]",
                "queue": "gpu",
                "nodes": 4,
                "share": 0.1,
            },
            {
                "uuid": "2",
                KEYS[0]: 2.5,
                KEYS[1]: 40.0,
                KEYS[2]: 2.0,
                KEYS[3]: 100.0,
                "labels.a.b/c": "y",
                "labels.n": None,
                "queue": "cpu",
                "nodes": 12,
                "share": 2.0,
            },
            dict.fromkeys(rows[0]) | {"uuid": "3"},
        ]
        assert await units(ceems, KEYS[3]) == [
            {"uuid": "1", KEYS[3]: 300.0},
            {"uuid": "2", KEYS[3]: 100.0},
            {"uuid": "3", KEYS[3]: None},
        ]
        everything = await ceems.units(ANN, UnitsQuestion(SPAN))
        names = everything.table.column_names
        assert names.index("tags.partition") < names.index(KEYS[0]) < names.index("labels.n") < names.index("queue")


@pytest.mark.parametrize(
    ("wanted", "uuids"),
    [
        (Filter(KEYS[3], ">", ("150",)), "1"),
        (Filter(KEYS[0], "=", ("2.5",)), "2"),
        (Filter("queue", "=", ("gpu",)), "1"),
        (Filter("queue", "!=", ("gpu",)), "23"),
        (Filter("nodes", "=|", ("4", "12")), "12"),
        (Filter("nodes", "=", ("4.0",)), "1"),
        (Filter("nodes", "!=", ("4",)), "23"),
        (Filter("nodes", ">", ("5",)), "2"),
        (Filter("share", "=", ("2",)), "2"),
        (Filter("share", "<=", ("0.1",)), "1"),
        (Filter("labels.a.b/c", "=", ("y",)), "2"),
    ],
)
async def test_filters(tmp_path: Path, kind: str, wanted: Filter, uuids: str) -> None:
    async with opened(make_new(tmp_path / "ceems.db"), kind) as store:
        rows = await units(Ceems(store), selection=Selection(filters=(wanted,)))
        assert "".join(row["uuid"] for row in rows) == uuids


async def test_order(tmp_path: Path, kind: str) -> None:
    async with opened(make_new(tmp_path / "ceems.db"), kind) as store:
        for field, uuids in ((KEYS[3], "213"), ("queue", "213"), (KEYS[2], "213"), ("nodes", "123"), ("share", "123")):
            rows = await units(Ceems(store), order=(OrderBy(field),))
            assert "".join(row["uuid"] for row in rows) == uuids


async def test_usage(tmp_path: Path, kind: str) -> None:
    async with opened(make_new(tmp_path / "ceems.db"), kind) as store:
        ceems = Ceems(store)
        for source in (Source.UNITS, Source.PRORATED):
            answer = await ceems.usage(ANN, UsageQuestion(SPAN, source=source, fields=("username", *KEYS)))
            assert answer.table.to_pylist() == [
                {"username": "ann", KEYS[0]: 3.5, KEYS[1]: 25.0, KEYS[2]: 2.0, KEYS[3]: 300.0}
            ]
        asked = UsageOverTimeQuestion(SPAN, TimeStep.DAY, PARIS, Source.UNITS, fields=KEYS)
        answer, _ = await ceems.usage_over_time(ANN, asked)
        assert answer.table.to_pylist() == [{"step": 0, KEYS[0]: 3.5, KEYS[1]: 25.0, KEYS[2]: 2.0, KEYS[3]: 300.0}]


async def test_suggestions(tmp_path: Path, kind: str) -> None:
    async with opened(make_new(tmp_path / "ceems.db"), kind) as store:
        ceems = Ceems(store)

        async def values(what: SuggestionKind, column: str = "") -> list[str]:
            found = await ceems.suggest(ANN, SuggestQuestion(what, column=column, limit=1000))
            return [one.value for one in found.values]

        assert {*KEYS, "labels", "labels.n", "queue", "nodes"} <= {*await values(SuggestionKind.FIELDS, "units")}
        usage = await values(SuggestionKind.FIELDS, "usage")
        assert {*KEYS} <= {*usage}
        assert "queue" not in usage
        assert await values(SuggestionKind.METRIC_KEYS, "max_custom_metrics") == [POWER]
        assert {"queue", "labels.a.b/c"} <= {*await values(SuggestionKind.TAG_KEYS)}
        assert await values(SuggestionKind.TAG_VALUES, "queue") == ["cpu", "gpu"]
        assert await values(SuggestionKind.TAG_VALUES, "nodes") == ["4", "12"]
        assert await values(SuggestionKind.TAG_VALUES, "labels.a.b/c") == ["x", "y"]


async def test_json_of_the_api(tmp_path: Path, kind: str) -> None:
    async with opened(make_new(tmp_path / "ceems.db"), kind) as store:
        question = UnitsQuestion(SPAN, fields=("uuid", *TYPES))
        found = b""
        async for item in Ceems(store).units_stream(ANN, question, None, []):
            for text in _texts(item):
                found += text + b","
        assert found.decode() == (
            '{"uuid":"1","total_custom_metrics":{"flops":1},"avg_custom_metrics":{"load":10},'
            f'"min_custom_metrics":{{"power":5}},"max_custom_metrics":{{"{POWER}":300}},'
            '"labels":{"a.b/c":"x","n":[1]},"queue":"gpu","nodes":4,"share":0.1},'
            '{"uuid":"2","total_custom_metrics":{"flops":2.5},"avg_custom_metrics":{"load":40},'
            f'"min_custom_metrics":{{"power":2}},"max_custom_metrics":{{"{POWER}":100}},'
            '"labels":{"a.b/c":"y"},"queue":"cpu","nodes":12,"share":2},{"uuid":"3"},'
        )


async def test_values_that_a_column_of_numbers_may_not_hold_are_empty(tmp_path: Path, kind: str) -> None:
    path = make_new(tmp_path / "ceems.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        odd = {"1": ("many", b"7"), "2": (2.5, 9e999), "3": (2**62, -1e-9)}
        for uuid, values in odd.items():
            connection.execute("UPDATE units SET nodes = ?, share = ? WHERE uuid = ?", [*values, uuid])
    async with opened(path, kind) as store:
        ceems = Ceems(store)
        found = [(row["nodes"], row["share"]) for row in await units(ceems, "nodes", "share")]
        assert found == [(None, None), (None, None), (2**62, -1e-9)]
        selection = Selection(filters=(Filter("share", "<", ("1",)),))
        assert [row["uuid"] for row in await units(ceems, selection=selection)] == ["3"]


@pytest.mark.parametrize(
    ("declaration", "found"),
    [
        ("integer", Type.INTEGER),
        ("BIGINT NOT NULL", Type.INTEGER),
        ("real", Type.NUMBER),
        ("double precision", Type.NUMBER),
        ("decimal(10,2)", Type.NUMBER),
        ("boolean", Type.NUMBER),
        ("text", Type.TEXT),
        ("varchar(20)", Type.TEXT),
        ("datetime", Type.TEXT),
        ("json", Type.TEXT),
        ("", Type.TEXT),
    ],
)
def test_declarations(declaration: str, found: Type) -> None:
    assert declared_type(declaration) is found


async def test_columns_that_appear_while_the_plugin_runs(tmp_path: Path, kind: str) -> None:
    path = make_old(tmp_path / "ceems.db")
    async with opened(path, kind) as store:
        ceems = Ceems(store)
        answer = await ceems.units(ANN, UnitsQuestion(SPAN, fields=("uuid", "queue")))
        assert answer.warnings
        add_columns(path)
        assert await units(ceems, "queue") == [{"uuid": uuid, "queue": None} for uuid in "123"]
        fill(path)
        assert [row["queue"] for row in await units(ceems, "queue")] == ["gpu", "cpu", None]
        assert [row["labels.n"] for row in await units(ceems, "labels.n", KEYS[0])] == ["[1]", None, None]
