"""Files of older versions of CEEMS and with odd contents: what can be answered is answered, the rest is reported."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import (
    Directory,
    DirectoryQuestion,
    Filter,
    Mode,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.errors import StoreError, StoreSchemaError
from ceems_grpc.store.plan import Aggregate, Key, Scan, Sum, Table
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, SUMMER, WINTER, make, unit

EVER = Window(0, 2**33)
ANN, NAME = Viewer("ann"), Viewer("name")


def member(path: Path, login: str = "ann") -> None:
    with closing(sqlite3.connect(path)) as writer:
        writer.execute(
            "INSERT INTO projects (cluster_id, resource_manager, name, users) VALUES ('slurm-0', 'slurm', 'alpha', ?)",
            (json.dumps([login]),),
        )
        writer.commit()


async def test_an_old_file_says_what_it_lacks(tmp_path: Path) -> None:
    store = SqliteStore(make(tmp_path / "ceems.db", version=4))
    facts = await store.facts()
    assert facts.schema_version == 4
    assert set(facts.missing_tables) == {Table.ADMIN_USERS, Table.DAILY_USAGE}
    await store.close()


@pytest.mark.parametrize("version", [4, 5, 6, 7, 8, 9])
async def test_old_files_answer_what_they_can(tmp_path: Path, version: int) -> None:
    path = make(tmp_path / "ceems.db", version=version)
    member(path)
    ceems = Ceems(SqliteStore(path, zone=PARIS))
    assert (await ceems.units(ANN, UnitsQuestion(EVER))).table.num_rows == 1
    assert (await ceems.usage(ANN, UsageQuestion(EVER))).table.column("num_units").to_pylist() == [1]
    assert (await ceems.usage(ANN, UsageQuestion(EVER, Mode.GLOBAL))).table.num_rows == 0
    assert (await ceems.stats(ANN, StatsQuestion(EVER))).table.column("num_units").to_pylist() == [1]
    assert (await ceems.directory(ANN, DirectoryQuestion(Directory.PROJECTS))).table.num_rows == 1
    if version < 7:
        with pytest.raises(StoreSchemaError, match="no table daily_usage"):
            await ceems.usage(ANN, UsageQuestion(EVER, source=Source.DAILY))
    await ceems.close()


async def test_a_filter_on_a_column_that_an_old_file_lacks_is_told(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", version=8)
    ceems = Ceems(SqliteStore(path, zone=PARIS))
    for operator in (">", "!="):
        selection = Selection(filters=(Filter("total_egress_stats.bytes", operator, ("1",)),))
        with pytest.raises(StoreError, match="lacks a table or column"):
            await ceems.units(ANN, UnitsQuestion(EVER, selection))
    await ceems.close()


@pytest.mark.parametrize("version", [5, 7])
async def test_administrators_of_old_files(tmp_path: Path, version: int) -> None:
    path = make(tmp_path / "ceems.db", version=version)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO admin_users (source, users) VALUES ('ceems', '[\"root\",\"ann\"]')")
        writer.commit()
    ceems = Ceems(SqliteStore(path, zone=PARIS))
    assert (await ceems.units(ANN, UnitsQuestion(EVER, admin=True))).table.num_rows == 1
    for login in ("name", "users", "ceems", "", "bob"):  # names of columns must not become administrators
        with pytest.raises(QuestionError) as caught:
            await ceems.units(Viewer(login), UnitsQuestion(EVER, admin=True))
        assert caught.value.status == 403
    await ceems.close()


async def test_files_without_administrators_have_none(tmp_path: Path) -> None:
    ceems = Ceems(SqliteStore(make(tmp_path / "ceems.db", version=4)))
    with pytest.raises(QuestionError) as caught:
        await ceems.units(NAME, UnitsQuestion(EVER, admin=True))
    assert caught.value.status == 403
    await ceems.close()


# Texts that no JSON writer should write, and names that are not UTF-8


async def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    rows = [unit(index, name=f"job {index}") for index in range(10_000)]
    path = make(tmp_path / "ceems.db", rows)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("UPDATE units SET name = CAST(X'63616666E9' AS TEXT) WHERE uuid = '9000'")
        writer.commit()
    store = SqliteStore(path, zone=PARIS)
    async with store.read() as reader:
        batches = [batch async for batch in reader.batches(Scan(Table.UNITS, ("uuid", "name")))]
        found = [row for batch in batches for row in batch.to_pylist()]
        table = await reader.table(Scan(Table.UNITS, ("name",)))
    assert len(found) == 10_000
    assert len({row["uuid"] for row in found}) == 10_000
    assert next(row["name"] for row in found if row["uuid"] == "9000") == "caff\N{REPLACEMENT CHARACTER}"
    assert table.num_rows == 10_000
    await store.close()


@pytest.mark.parametrize("text", ["", "null", "{", "[1]", '"x"', "5", None, "{}", '{"a":', "\x00", '{"a":{"b":[1]}}'])
async def test_metric_texts_of_any_kind_are_summed(tmp_path: Path, text: str | None) -> None:
    rows = [unit(0, avg_cpu_usage=text), unit(1, avg_cpu_usage='{"a":50}', total_time_seconds='{"alloc_cputime":2}')]
    path = make(tmp_path / "ceems.db", rows)
    member(path)
    ceems = Ceems(SqliteStore(path, zone=PARIS))
    answer = await ceems.usage(ANN, UsageQuestion(EVER, fields=("avg_cpu_usage",)))
    assert answer.table.to_pylist() == [{"avg_cpu_usage.a": 50.0}]
    await ceems.close()


@pytest.mark.parametrize(
    "key", ["a.b", 'a"b', "a\\b", "é", "<a&b>", "a'b", "$", "a[0]", "\n", "\U0001f600", "", "a`b", "a]", "#", "*"]
)
@pytest.mark.parametrize("escaped", [True, False])
async def test_keys_of_any_kind_are_summed(tmp_path: Path, key: str, escaped: bool) -> None:
    text = json.dumps({key: 2, "other": 1}, ensure_ascii=escaped)
    if escaped:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")  # as Go writes them
    store = SqliteStore(make(tmp_path / "ceems.db", [unit(0, total_time_seconds=text)] * 1), zone=PARIS)
    async with store.read() as reader:
        sums = (Sum("sum", Key("total_time_seconds", key)),)
        assert (await reader.aggregate(Aggregate(Table.UNITS, (), sums))).to_pylist() == [{"sum": 2.0}]
    await store.close()


# Zones


async def zone_of(path: Path) -> str:
    store = SqliteStore(path)
    zone = (await store.facts()).zone
    await store.close()
    return zone


@pytest.mark.parametrize(
    "name",
    ["Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Adelaide", "America/Sao_Paulo", "Asia/Tokyo"],
)
async def test_the_zone_is_guessed_from_offsets(tmp_path: Path, name: str) -> None:
    zone = ZoneInfo(name)
    path = make(tmp_path / "ceems.db", [unit(index, SUMMER + index * 86_400, zone) for index in range(250)])
    guessed = await zone_of(path)
    moments = range(SUMMER, SUMMER + 250 * 86_400, 3_600)
    same = ZoneInfo(guessed)
    assert all(
        datetime.fromtimestamp(m, same).utcoffset() == datetime.fromtimestamp(m, zone).utcoffset() for m in moments
    )


async def test_an_offset_that_no_known_zone_has_is_taken_as_it_is(tmp_path: Path) -> None:
    odd = timezone(timedelta(hours=3, minutes=7))
    rows = [
        unit(index, started_at=datetime.fromtimestamp(WINTER, odd).strftime("%Y-%m-%dT%H:%M:%S%z"))
        for index in range(3)
    ]
    assert await zone_of(make(tmp_path / "ceems.db", rows)) == "UTC+03:07"


async def test_a_database_without_units_is_asked_again(tmp_path: Path) -> None:
    path = make(tmp_path / "ceems.db", [])
    store = SqliteStore(path)
    assert (await store.facts()).newest_update is None
    with closing(sqlite3.connect(path)) as writer:
        for row in [unit(index, SUMMER + index * 86_400, ZoneInfo("Asia/Tokyo")) for index in range(3)]:
            writer.execute(
                f"INSERT INTO units ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values())
            )
        writer.commit()
    facts = await store.facts()
    assert facts.zone == "Asia/Tokyo"
    assert facts.newest_update == datetime.fromtimestamp(SUMMER + 2 * 86_400, UTC)
    await store.close()


async def test_running_units_without_times_do_not_guess(tmp_path: Path) -> None:
    rows = [unit(0, zone=ZoneInfo("Asia/Tokyo")), unit(1, started_at="N/A", started_at_ts=0), unit(2, started_at=None)]
    assert await zone_of(make(tmp_path / "ceems.db", rows)) == "Asia/Tokyo"
