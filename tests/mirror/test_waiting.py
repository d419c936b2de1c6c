"""A large question waits for the mirror to catch up, so that it does not put its load on the file."""

import sqlite3
from pathlib import Path

from ceems_grpc.store.runtime.admission import Queue
from ceems_grpc.store.runtime.cost import CostClass
from tests.support.mirrors import count, following, is_mirrored


async def test_a_large_question_right_after_a_commit_waits_for_the_mirror(
    site: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    async with following(site, tmp_path / "mirror") as store:
        assert await store.settled()
        for _ in range(3):
            writer.execute("DELETE FROM units WHERE id = (SELECT max(id) FROM units)")
            (left,) = writer.execute("SELECT count(*) FROM units").fetchone()
            async with Queue().turn(CostClass.LARGE):
                assert await is_mirrored(store)
                async with store.read() as reader:
                    assert await count(reader) == left


async def test_nobody_waits_for_a_mirror_that_is_made(site: Path, tmp_path: Path) -> None:
    async with following(site, tmp_path / "mirror") as store, Queue().turn(CostClass.LARGE):
        assert not await is_mirrored(store)
        assert await store.settled()
        assert await is_mirrored(store)
