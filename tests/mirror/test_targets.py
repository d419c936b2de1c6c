"""Every target of `ceems_grpc.store.follow.fill` and `changes` equals the database after each step."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ceems_grpc.store.columnar.layout import LARGE, ROW, Meta, TableLayout
from ceems_grpc.store.follow import changes as follow_changes
from ceems_grpc.store.follow.keeper import SourceFollower, Step
from ceems_grpc.store.plan import Table
from ceems_grpc.store.sqlite.source_rows import PythonRows
from tests.mirror.test_following import FILE_CHANGES
from tests.support.mirrors import ZONE


class KeptInMemory:
    """Holds tables in memory; ``failing`` makes the next commit fail."""

    def __init__(self) -> None:
        self.meta: Meta | None = None
        self.needs_rebuild = False
        self.failing = False
        self.tables: dict[Table, pa.Table] = {}
        self._before: dict[Table, pa.Table] | None = None

    def begin(self) -> None:
        assert self._before is None
        self._before = dict(self.tables)

    def rewrite(self, table: Table, layout: TableLayout, rows: Iterable[pa.Table]) -> None:
        parts = list(rows)
        self.tables[table] = pa.concat_tables(parts, promote_options="default") if parts else pa.table({ROW: []})

    def count(self, table: Table) -> int:
        return int(self.tables[table].num_rows)

    def large(self, table: Table, most: int) -> list[int]:
        rows = self.tables[table]
        return rows.filter(rows.column(LARGE)).column(ROW).to_pylist()[:most]  # type: ignore[no-any-return]

    def replace(self, table: Table, layout: TableLayout, ids: pa.Int64Array, rows: pa.Table) -> None:
        assert ids.to_pylist() == sorted(set(ids.to_pylist()))
        old = self.tables[table]
        kept = old.filter(pc.invert(pc.is_in(old.column(ROW), ids)))
        self.tables[table] = pa.concat_tables([kept, rows], promote_options="default") if rows.num_rows else kept

    def keep(self, table: Table, ids: pa.Int64Array, last: int | None) -> None:
        old = self.tables[table]
        kept = pc.is_in(old.column(ROW), ids)
        self.tables[table] = old.filter(kept if last is None else pc.or_(kept, pc.greater(old.column(ROW), last)))

    def commit(self, meta: Meta) -> None:
        if self.failing:
            self.failing = False
            raise OSError("no room")
        self.meta, self._before = meta, None
        self.tables = {table: self.tables[table] for table in map(Table, meta.layout.tables)}

    def rollback(self) -> None:
        assert self._before is not None
        self.tables, self._before = self._before, None

    def contents(self) -> dict[tuple[Table, int], dict[str, object]]:
        """Return all rows by table and id, with the keys of metrics by name."""
        assert self.meta is not None
        found: dict[tuple[Table, int], dict[str, object]] = {}
        for table, rows in self.tables.items():
            keys = self.meta.layout.tables[table].keys
            names = {place: f"{metric}.{key}" for metric in keys for key, place in keys[metric].items()}
            for row in rows.to_pylist():
                values: dict[str, object] = {
                    names.get(name, name): str(value) for name, value in row.items() if value is not None
                }
                assert (table, row[ROW]) not in found
                found[table, row[ROW]] = values
        return found


def afresh(site: Path) -> dict[tuple[Table, int], dict[str, object]]:
    """Return the contents of a target that is filled from scratch now."""
    target = KeptInMemory()
    follower = SourceFollower(site, target, ZONE, PythonRows)
    assert follower.step() is Step.FILLED
    follower.close()
    return target.contents()


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> KeptInMemory:
    """Return an empty target that follows small tables row by row, too."""
    monkeypatch.setattr(follow_changes, "_SMALL", 5)
    return KeptInMemory()


def test_each_change(site: Path, writer: sqlite3.Connection, target: KeptInMemory) -> None:
    follower = SourceFollower(site, target, ZONE, PythonRows)
    assert follower.step() is Step.FILLED
    assert follower.step() is Step.NOTHING
    for name, statement in FILE_CHANGES.items():
        writer.execute(statement)
        assert follower.step() is (Step.NOTHING if name == "nothing" else Step.CAUGHT_UP), name
        assert target.contents() == afresh(site)
    writer.execute("ALTER TABLE usage ADD COLUMN more text DEFAULT 'x'")
    assert follower.step() is Step.FILLED
    assert target.contents() == afresh(site)
    target.needs_rebuild = True
    writer.execute("UPDATE usage SET more = 'y'")
    assert follower.step() is Step.FILLED
    follower.close()


def test_errors_leave_what_was_there(site: Path, writer: sqlite3.Connection, target: KeptInMemory) -> None:
    follower = SourceFollower(site, target, ZONE, PythonRows)
    target.failing = True
    with pytest.raises(OSError, match="no room"):
        follower.step()
    assert target.meta is None
    assert not target.tables
    assert follower.step() is Step.FILLED
    before = target.contents()
    for _ in range(2):
        writer.execute("UPDATE units SET num_updates = num_updates + 1 WHERE id IN (5, 600)")
        target.failing = True
        with pytest.raises(OSError, match="no room"):
            follower.step()
        assert target.contents() == before
    assert follower.step() is Step.CAUGHT_UP
    assert target.contents() == afresh(site) != before
    follower.close()


def test_another_process_goes_on(site: Path, writer: sqlite3.Connection, target: KeptInMemory) -> None:
    writer.execute("UPDATE units SET num_updates = 0 WHERE id = 1")  # keeps the log open from now on
    first = SourceFollower(site, target, ZONE, PythonRows)
    assert first.step() is Step.FILLED
    first.close()
    writer.execute("UPDATE units SET num_updates = num_updates + 1 WHERE id IN (5, 600)")
    second = SourceFollower(site, target, ZONE, PythonRows)
    assert second.step() is Step.CAUGHT_UP
    assert target.contents() == afresh(site)
    second.close()
    other = SourceFollower(site, target, UTC, PythonRows)
    assert other.step() is Step.FILLED  # in another zone, the same texts are other moments
    other.close()
