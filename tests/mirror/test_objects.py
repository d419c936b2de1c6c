"""Filters and searches in the JSON texts of tags and allocation: the mirror answers as the file does."""

import sqlite3
from pathlib import Path

from ceems_grpc.store.duckdb.reader import MirrorReader
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.plan import ALWAYS, Compare, In, Key, KeyScan, Order, Scan, Table
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.compare import check_same
from tests.support.mirrors import ZONE, following, is_mirrored
from tests.support.plans import Plan, ask

PLAIN: tuple[str | None, ...] = (
    '{"qos":"high"}', '{"qos":5}', '{"qos":5.0}', '{"qos":true}', '{"qos":null}', "{}", "", None, "null",
    '{"qos":{"n":[1]}}', '{"q":{"qos":"high"}}', '{"qos":"5"}', '{"qos": "high", "a": [1,2,{"b":"c"}]}', '{"qos":""}',
    '{"qos":0}', '{"qos":false}', '{"qos":"high","qos":"low"}', '{"qos":1.50}', '{"qos":-0}', '{"é":"high"}',
)  # fmt: skip
ODD = (
    '{"qos":"hig\\u0068"}', '{"q\\u006fs":"high"}', '{"qos":1e2}', '{"qos":NaN}', '{"qos":"high",}', "nonsense high",
    '["high"]', '{"qos":12345678901234567890}', ' {"qos":"high"}', '{"qos":0.1234567890123456789}',
    '{"qos":[[[["high"]]]]}', '{"qos":"hi\tgh"}',
)  # fmt: skip
VALUES = (
    ("high",), ("5",), ("5.0", "x"), ("1",), ("true",), ("",), ("0",), ("1.5",), ("-0",), ("100",), ("nobody",),
    ("low", "high", "a", "b", "c", "d", "e", "f", "g", "h"),
)  # fmt: skip
QOS = Key("tags", "qos")
PLANS: tuple[Plan, ...] = (
    *(
        Scan(Table.UNITS, ("id",), In(QOS, values, negate), (Order("id"),))
        for values in VALUES
        for negate in (False, True)
    ),
    *(
        Scan(Table.UNITS, ("id",), Compare(QOS, relation, value), (Order("id"),))
        for relation in ("<", "=", "!=", ">=")
        for value in (0.0, 1.0, 1.5, 5.0)
    ),
    *(KeyScan(Table.UNITS, ("tags", "allocation"), ALWAYS, recent) for recent in (None, 20)),
)

FEW_PLANS = (*PLANS[:4], *PLANS[-2:], Scan(Table.UNITS, ("id",), Compare(QOS, ">", 1.0), (Order("id"),)))


async def asked_of_the_file(store: MirroredStore, site: Path, plans: tuple[Plan, ...]) -> int:
    """Return the number of plans that the mirror left to the file."""
    asked = 0
    assert await store.settled()
    live = SqliteStore(site, zone=ZONE)
    try:
        for plan in plans:
            async with live.read() as reader:
                wanted = await ask(reader, plan)
            async with store.read() as reader:
                assert isinstance(reader, MirrorReader)
                check_same(plan, await ask(reader, plan), wanted)
                asked += reader._live_reader is not None
    finally:
        await live.close()
    assert await is_mirrored(store)  # leaving a plan to the file does not count as a failure of the mirror
    return asked


def write_tags(writer: sqlite3.Connection, texts: tuple[str | None, ...]) -> None:
    rows = [(texts[row % len(texts)], row) for row in range(1, 201)]
    writer.execute("BEGIN")
    writer.execute("DELETE FROM units WHERE id > 200")
    writer.executemany("UPDATE units SET tags = ? WHERE id = ?", rows)
    writer.execute("COMMIT")


async def test_plain_texts_are_told_by_the_mirror(site: Path, writer: sqlite3.Connection, tmp_path: Path) -> None:
    write_tags(writer, PLAIN)
    async with following(site, tmp_path / "cache") as store:
        assert await asked_of_the_file(store, site, PLANS) == 0


async def test_other_texts_are_left_to_the_file(site: Path, writer: sqlite3.Connection, tmp_path: Path) -> None:
    async with following(site, tmp_path / "cache") as store:
        for odd in ODD:
            write_tags(writer, (PLAIN[0], odd))
            assert await asked_of_the_file(store, site, FEW_PLANS) > 0, odd


async def test_a_metric_is_one_of_the_texts(site: Path, writer: sqlite3.Connection, tmp_path: Path) -> None:
    # Numbers that SQLite writes with 15 digits, integers beyond 2**53, texts that are not numbers, null.
    texts = ("0.1234567890123456789", "0.3", "0.30000000000000004", "5", "5.0", "true", '"NaN"', "null", "1e2")
    writer.execute("DELETE FROM units WHERE id > 90")
    for row in range(1, 91):
        text = f'{{"total":{texts[row % len(texts)]}}}'
        writer.execute("UPDATE units SET total_cpu_energy_usage_kwh = ? WHERE id = ?", (text, row))
    key = Key("total_cpu_energy_usage_kwh", "total")
    wanted = ("5", "0.3", "0.123456789012346", "NaN", "1", "100", "9007199254740993", "x")
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        live = SqliteStore(site, zone=ZONE)
        try:
            for value in wanted:
                for negate in (False, True):
                    plan = Scan(Table.UNITS, ("id",), In(key, (value,), negate), (Order("id"),))
                    async with live.read() as reader, store.read() as mirrored:
                        assert isinstance(mirrored, MirrorReader)
                        check_same(plan, await ask(mirrored, plan), await ask(reader, plan))
        finally:
            await live.close()
        assert await is_mirrored(store)
