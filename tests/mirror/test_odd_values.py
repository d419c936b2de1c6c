"""Values of any type and size: no question fails, and the mirror answers as the file does."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.domain.questions.model import UnitsQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.plan import ALWAYS, Scan, Table
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.mirror.test_same_answers import compare, few, mirrored
from tests.support.databases import SUMMER, make, unit
from tests.support.odd_values import ask_everything, cases, spoil


@few
@given(cases(), st.booleans())
def test_no_question_fails_and_the_mirror_agrees(case: Any, typed: bool) -> None:
    contents, values, asked = case

    async def everything(folder: Path) -> None:
        path = contents.write(folder / "ceems.db")
        spoil(path, values, typed=typed)
        async with mirrored(path, folder / "cache", contents) as (live, store):
            await compare(live, store, asked)
            await ask_everything(live, Window(contents.turn - 90_000, contents.turn + 90_000))
            await ask_everything(store, Window(contents.turn - 90_000, contents.turn + 90_000))
        guessed = SqliteStore(path)
        await guessed.facts()
        await guessed.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(everything(Path(folder)))


async def test_a_value_that_its_column_cannot_hold_is_empty_and_counted(tmp_path: Path) -> None:
    rows = [
        unit(1, SUMMER),
        unit(2, SUMMER, started_at_ts=-62135596800000, total_cpu_energy_usage_kwh=b'{"total":1}'),
        unit(3, SUMMER, started_at_ts=1_750_000_000_000_000, created_at_ts="soon"),
        unit(4, SUMMER, username=b"ann", ended_at_ts=0),
    ]
    path = make(tmp_path / "ceems.db", rows)
    live = SqliteStore(path)
    store = MirroredStore(live)
    try:
        names = ("uuid", "username", "created_at_ts", "started_at_ts", "total_cpu_energy_usage_kwh")
        for one in (live, store):
            if one is store:
                assert await store.settled()
            async with one.read() as reader:
                table = await reader.table(Scan(Table.UNITS, names, ALWAYS))
            assert table.column("started_at_ts").to_pylist() == [
                (SUMMER - 3600) * 1000,
                None,
                None,
                (SUMMER - 3600) * 1000,
            ]
            assert table.column("created_at_ts").null_count == 1
            assert table.column("username").to_pylist() == ["ann", "ann", "ann", None]
            assert "1" not in (table.column("total_cpu_energy_usage_kwh").to_pylist()[1] or "")
        facts = await store.facts()
        assert dict(facts.unusable) == {
            "units.created_at_ts": 1,
            "units.started_at_ts": 2,
            "units.total_cpu_energy_usage_kwh": 1,
            "units.username": 1,
        }
        ceems = Ceems(store)
        asked = UnitsQuestion(Window(SUMMER - 100, SUMMER + 100), running=True, admin="auto")
        answer = await ceems.units(Viewer("root", admin_by_role=True), asked)
        assert any("5 values have a type or a size" in text for text in answer.notices)
        own = await ceems.units(Viewer("ann"), asked)
        assert own.notices == ()
        assert isinstance(own.table, pa.Table)
        assert own.table.num_rows == 3
    finally:
        await store.close()
