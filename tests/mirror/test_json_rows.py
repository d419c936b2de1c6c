"""Rows that SQLite writes as JSON equal those that the API writes from columns, and odd rows are not passed through."""

import asyncio
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ceems_grpc.domain.questions.model import UnitsQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems, Limits
from ceems_grpc.rest.router import Api
from ceems_grpc.store.columnar.json_rows import JsonText
from ceems_grpc.store.duckdb import reader as mirror
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.plan import AllKeys, Compare, Key, Order, Scan, Table
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.model.databases import Contents, databases
from tests.support.mirrors import ZONE, following

_VIEWER = Viewer("boss", admin_by_role=True)
_EVER = Window(0, 2_000_000_000)
_ALL = f"from={_EVER.start}&to={_EVER.end}&running=true"


async def api(store: Store, query: str = _ALL, limit: int | None = None) -> Any:
    """Return the decoded answer to a request for units."""
    response = await Api(Ceems(store, Limits(rows=limit))).answer(_VIEWER, "GET", "units/admin", query)
    assert response.status == 200, response.body
    if isinstance(response.body, bytes):  # of few rows
        return json.loads(response.body)
    return json.loads(b"".join([part async for part in response.body]))


async def items(store: Store) -> list[pa.RecordBatch | JsonText]:
    """Return what the API receives for all units."""
    question = UnitsQuestion(_EVER, running=True, admin=True)
    return [item async for item in Ceems(store).units_stream(_VIEWER, question, None, [])]


async def check(path: Path, store: MirroredStore, value: object = None) -> list[pa.RecordBatch | JsonText]:
    """Fail unless both give the same rows in the same order; return what the mirror's answer is made from. ``value`` is
    named in the message of a failure.
    """
    assert await store.settled()
    live = SqliteStore(path, zone=ZONE)
    try:
        assert await api(store) == await api(live), value
    finally:
        await live.close()
    return await items(store)


async def test_regular_rows_are_passed_through(site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        given = await check(site, store)
        assert all(isinstance(item, JsonText) for item in given)
        assert len(given) > 1
        assert sum(item.num_rows for item in given) > 1_000


ODD = (
    ("total_cpu_energy_usage_kwh", '{"total":0.123456789}'),
    ("total_cpu_energy_usage_kwh", '{"total":1e3}'),
    ("total_cpu_energy_usage_kwh", '{"total": 1}'),
    ("total_cpu_energy_usage_kwh", '{"total":true}'),
    ("total_cpu_energy_usage_kwh", '{"total":null}'),
    ("total_cpu_energy_usage_kwh", '{"total":"7"}'),
    ("total_cpu_energy_usage_kwh", '{"total":1},"state":{"total":2}'),
    ("total_cpu_energy_usage_kwh", "nothing"),
    ("total_cpu_energy_usage_kwh", ""),
    ("total_cpu_energy_usage_kwh", "{}"),
    ("total_cpu_energy_usage_kwh", None),
    ("total_cpu_energy_usage_kwh", '{"total":1}\0'),
    ("tags", '{"a":{"b":{"c":[1,{"d":"e"}]}}}'),
    ("tags", '{"a":NaN}'),
    ("tags", '{"a":1,}'),
    ("tags", '{"a":"\\u00e9 \\"x\\""}'),
    ("tags", '{"a":1},"state":"FAKED"'),
    ("tags", '{"a":"\\ud800"}'),
    ("tags", "[]"),
    ("tags", "[1]"),
    ("tags", None),
    ("tags", '{"a":1}\0'),
    ("name", 'say "hello" \\ back\nline'),
    ("name", "be\0fore"),
    ("name", "Zoë ☃"),
    ("name", ""),
    ("name", None),
    ("groupname", ""),
    ("ended_at_ts", 0),
    ("started_at_ts", 0),
)


@pytest.mark.parametrize("column", dict.fromkeys(column for column, _ in ODD))
async def test_odd_values_are_written_as_from_the_file(
    column: str, site: Path, tmp_path: Path, writer: sqlite3.Connection
) -> None:
    writer.execute("DELETE FROM units WHERE id > 300")
    async with following(site, tmp_path / "cache") as store:
        for value in [value for name, value in ODD if name == column]:
            writer.execute(f"UPDATE units SET {column} = ? WHERE id % 7 = 0", (value,))  # replaces the previous value
            await check(site, store, value)


@pytest.mark.parametrize(("column", "value"), ODD)
async def test_the_first_odd_value_of_a_column(
    column: str, value: object, tmp_path: Path, site: Path, writer: sqlite3.Connection
) -> None:
    """A column whose texts have all had the API's form is not examined again."""
    writer.execute("DELETE FROM units WHERE id > 40")
    writer.execute("UPDATE units SET name = 'plain', tags = '{}', groupname = 'group'")
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        writer.execute(f"UPDATE units SET {column} = ? WHERE id % 7 = 0", (value,))
        await check(site, store)


@pytest.mark.parametrize("share", [1, 400])
async def test_more_shapes_than_a_statement_has_parts(
    share: int, site: Path, tmp_path: Path, writer: sqlite3.Connection
) -> None:
    """Rows with every combination of empty columns, in all parts of the answer and in some."""
    emptied = ("groupname", "allocation", "tags", "avg_cpu_usage", "total_cpu_energy_usage_kwh")
    bits = ", ".join(f"{name} = CASE WHEN id & {1 << bit} THEN {name} ELSE '' END" for bit, name in enumerate(emptied))
    writer.execute(f"UPDATE units SET {bits} WHERE id % {share} < 32 AND (id < 400 OR {share} = 1)")
    async with following(site, tmp_path / "cache") as store:
        given = await check(site, store)
        assert any(isinstance(item, pa.RecordBatch) for item in given)


@pytest.mark.parametrize("limit", [1, 500, 1_024, 1_025])
async def test_limits_cut_as_they_do_for_the_file(limit: int, site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        live = SqliteStore(site, zone=ZONE)
        try:
            mirrored, live_answer = await api(store, limit=limit), await api(live, limit=limit)
        finally:
            await live.close()
        assert mirrored == live_answer
        assert len(mirrored["data"]) == limit
        assert mirrored["warnings"]


@pytest.mark.parametrize("field", ["field=uuid&field=tags", "field=total_time_seconds", "field=name&timezone=UTC"])
async def test_some_fields(field: str, site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        live = SqliteStore(site, zone=ZONE)
        try:
            assert await api(store, f"{_ALL}&{field}") == await api(live, f"{_ALL}&{field}")
        finally:
            await live.close()


_ORDERS = (
    (),
    (Order("cluster_id", descending=True), Order("uuid")),
    (Order(Key("total_cpu_energy_usage_kwh", "total"), descending=True, numeric=True), Order("id")),
    (Order("ended_at_ts"), Order("uuid", descending=True)),
)


@pytest.mark.parametrize("order", _ORDERS)
async def test_rows_come_in_the_same_order_whoever_sorts_them(
    order: tuple[Order, ...], site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ("uuid", "started_at_ts", AllKeys("total_time_seconds"), AllKeys("tags", numeric=False))
    scan = Scan(Table.UNITS, columns, Compare("id", ">", 100), order)
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        async with store.read() as reader:
            monkeypatch.setattr(mirror, "FEW_ROWS", 1_000_000)  # up to this number of rows the engine sorts
            wanted = await reader.table(replace(scan, limit=1_000_000))
            assert wanted.num_rows > 100
            monkeypatch.setattr(mirror, "FEW_ROWS", 0)  # Arrow sorts, and needs all rows to know the first
            for limit in (None, wanted.num_rows + 1, wanted.num_rows):
                assert (await reader.table(replace(scan, limit=limit))).equals(wanted), limit
            some = await reader.table(replace(scan, limit=60))
            assert some.equals(wanted.slice(0, 60).select(some.column_names))


async def test_an_answer_that_is_left_half_way_lets_go_of_the_file(site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        for _ in range(12):  # more often than the number of connections
            stream = Ceems(store).units_stream(_VIEWER, UnitsQuestion(_EVER, admin=True), None, [])
            assert isinstance(await anext(stream), JsonText)
            await stream.aclose()
        assert await check(site, store)


@settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(databases(), st.sampled_from(["WAL", "DELETE"]))
def test_any_database(contents: Contents, mode: str) -> None:
    async def everything(folder: Path) -> None:
        path = contents.write(folder / "ceems.db")
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute(f"PRAGMA journal_mode = {mode}")
        live = SqliteStore(path, zone=contents.zone)
        store = MirroredStore(live, MirrorSettings(folders=(folder / "cache",), interval=60, retry=0))
        other = SqliteStore(path, zone=contents.zone)
        try:
            assert await store.settled()
            assert await api(store) == await api(other)
        finally:
            await store.close()
            await other.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(everything(Path(folder)))
