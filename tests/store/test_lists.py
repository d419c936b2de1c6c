"""Rows whose list contains a name, however the list is written."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ceems_grpc.store.plan import Distinct, Holds, Table
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, insert_rows, make

LISTS: dict[str, object] = {
    "plain": '["ann","bob"]',
    "spaced": ' [ "ann" ]',
    "inside": '[ "ann" ]',
    "escaped": '["\\u0061nn"]',
    "longer": '["annette"]',
    "quoted": json.dumps(['"ann"', "back\\slash", "a/b"]),
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


@pytest.mark.parametrize(
    ("names", "holding"),
    [
        (("ann",), {"plain", "inside", "escaped"}),
        (("bob", "nobody"), {"plain"}),
        (('"ann"',), {"quoted"}),
        (("back\\slash",), {"quoted"}),
        (("a/b",), {"quoted", "solidus"}),
        (('["ann"]',), {"nested"}),
        (("5",), {"digits"}),
        (("Zoë",), {"accents", "escaped accents"}),
        ((*(f"n{number}" for number in range(20)), "ann"), {"plain", "inside", "escaped"}),
        ((), set()),
    ],
)
async def test_lists_that_hold_a_name(tmp_path: Path, names: tuple[str, ...], holding: set[str]) -> None:
    path = make(tmp_path / "ceems.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        insert_rows(connection, "projects", [{"name": name, "users": users} for name, users in LISTS.items()])
    store = SqliteStore(path, zone=PARIS)
    async with store.read() as reader:
        found = await reader.distinct(Distinct(Table.PROJECTS, ("name",), Holds("users", names)))
    await store.close()
    assert set(found.column(0).to_pylist()) == holding
