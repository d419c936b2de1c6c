"""Rows whose list contains a name, however the list is written."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from ceems_grpc.store.duckdb.reader import MirrorReader
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.plan import Distinct, Holds, Table
from ceems_grpc.store.protocols import Store
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, insert_rows, make

LISTS: dict[str, object] = {
    "plain": '["ann","bob"]',
    "spaced": ' [ "ann" ]',
    "inside": '[ "ann" ]',
    "escaped": '["\\u0061nn"]',
    "longer": '["annette"]',
    "quoted": json.dumps(['"ann"', "back\\slash", "a/b"]),
    "half a pair": '["ann","\\ud800",5]',
    "not a number": '["ann",NaN]',
    "solidus": '["a\\/b"]',
    "nested": '[["ann"]]',
    "object": '{"ann":"ann"}',
    "torn": '["ann"',
    "number": "[5]",
    "digits": '["5"]',
    "accents": '["Zoë"]',
    "escaped accents": '["Zo\\u00eb"]',
    "bytes": b'["ann"]',
    "none": None,
    "empty": "",
}


HOLDING: list[tuple[tuple[str, ...], set[str]]] = [
    (("ann",), {"plain", "inside", "escaped", "half a pair"}),
    (("bob", "nobody"), {"plain"}),
    (('"ann"',), {"quoted"}),
    (("back\\slash",), {"quoted"}),
    (("a/b",), {"quoted", "solidus"}),
    (('["ann"]',), {"nested"}),
    (("5",), {"digits"}),
    (("Zoë",), {"accents", "escaped accents"}),
    ((*(f"n{number}" for number in range(20)), "ann"), {"plain", "inside", "escaped", "half a pair"}),
    ((), set()),
]
"""Names, and the lists that hold one of them."""


def with_lists(path: Path) -> Path:
    """Write a database with a project for each list."""
    make(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        insert_rows(connection, "projects", [{"name": name, "users": users} for name, users in LISTS.items()])
    return path


async def check_lists(store: Store) -> None:
    async with store.read() as reader:
        for names, holding in HOLDING:
            found = await reader.distinct(Distinct(Table.PROJECTS, ("name",), Holds("users", names)))
            assert set(found.column(0).to_pylist()) == holding, names


async def test_lists_that_hold_a_name(tmp_path: Path) -> None:
    store = SqliteStore(with_lists(tmp_path / "ceems.db"), zone=PARIS)
    await check_lists(store)
    await store.close()


async def test_lists_in_the_mirror(tmp_path: Path) -> None:
    store = MirroredStore(SqliteStore(with_lists(tmp_path / "ceems.db"), zone=PARIS))
    try:
        async with store.read():
            pass
        assert await store.settled()
        async with store.read() as reader:
            assert isinstance(reader, MirrorReader)
        await check_lists(store)
    finally:
        await store.close()
