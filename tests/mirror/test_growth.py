"""Following many commits leaves no deleted rows in the mirror, so that its file and its memory stay bounded."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ceems_grpc.store.duckdb.files import Mirror
from tests.support.mirrors import check, following, is_mirrored

COMMITS = 20
CHANGED = 300  # units in each commit
_STORED = "SELECT sum(count) FROM pragma_storage_info('units') WHERE column_id = 0 AND segment_type != 'VALIDITY'"


def stored_rows(mirror: Mirror, *, checkpoint: bool) -> int:
    """Return how many rows of units the mirror holds, with those that were deleted."""
    with closing(mirror.duck.cursor()) as cursor:
        if checkpoint:  # DuckDB writes one by itself after some megabytes
            cursor.execute("CHECKPOINT")
        ((rows,),) = cursor.execute(_STORED).fetchall()
    return int(rows)


async def test_a_checkpoint_removes_deleted_rows(site: Path, writer: sqlite3.Connection, tmp_path: Path) -> None:
    ((units,),) = writer.execute("SELECT count(*) FROM units").fetchall()
    async with following(site, tmp_path / "cache") as store:
        assert await store.settled()
        mirror = store._follower.mirror
        assert mirror is not None
        for number in range(COMMITS):
            first = number * CHANGED % 1_200
            writer.execute(
                "UPDATE units SET num_updates = num_updates + 1 WHERE id > ? AND id <= ?", (first, first + CHANGED)
            )
            assert await store.settled()
        assert store._follower.mirror is mirror  # followed, and not made anew
        assert stored_rows(mirror, checkpoint=False) >= units + COMMITS * CHANGED
        assert stored_rows(mirror, checkpoint=True) == units
        assert await is_mirrored(store)
        await check(store, site)
