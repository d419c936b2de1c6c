"""The reader of the write-ahead log against SQLite: it names every changed row, or says that it cannot tell.

An input is a program: each byte is a step of a writer, a checkpoint, or damage that cuts or overwrites the log.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given

from ceems_grpc.store.sqlite.wal import companion, read_version
from ceems_grpc.store.sqlite.wal_changes import SeenRows, changes_since
from tests.fuzz.inputs import corpus, inputs

_PAGE = 512  # bytes; the smallest size, so that few rows fill many pages
_FRAME = _PAGE + 24
_TABLES = {"small": 2, "wide": 9}  # name: columns
_LONG = 700  # characters of a text that does not fit on a page
Rows = dict[tuple[str, int], tuple[Any, ...]]


class Site:
    """A database in WAL mode with a reader that stays open, like the plugin's."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ceems.db"
        self.writer = sqlite3.connect(self.path, isolation_level=None)
        self.writer.execute(f"PRAGMA page_size = {_PAGE}")
        self.writer.execute("PRAGMA journal_mode = WAL")
        self.writer.execute("PRAGMA wal_autocheckpoint = 0")
        for name, columns in _TABLES.items():
            others = ", ".join(f"c{number}" for number in range(1, columns))
            self.writer.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {others})")
        for row in range(1, 31):
            self.write("small", row, "x")
            self.write("wide", row, "y" * (row % 40))
        self.reader = sqlite3.connect(self.path, isolation_level=None)
        self.reader.execute("PRAGMA query_only = ON")
        self.damaged = False

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def write(self, table: str, row: int, text: str) -> None:
        places = ", ".join("?" * (_TABLES[table] - 1))
        values = (text, *range(_TABLES[table] - 2))
        self.writer.execute(f"INSERT OR REPLACE INTO {table} VALUES ({row}, {places})", values)

    def rows(self) -> Rows:
        """Return all rows as SQLite reads them. Raises `sqlite3.DatabaseError` for a damaged database."""
        return {(table, row[0]): row for table in _TABLES for row in self.reader.execute(f"SELECT * FROM {table}")}

    def step(self, code: int, argument: int) -> None:
        """Execute one step of a program."""
        table = ("small", "wide")[argument % 2]
        row = argument // 2 % 60 + 1
        match code % 10:
            case 0 | 1:
                self.write(table, row, "new" * (argument % 7))
            case 2:
                self.write(table, row, "l" * _LONG)
            case 3:
                self.writer.execute(f"DELETE FROM {table} WHERE id = {row}")
            case 4:
                self.writer.execute(f"DELETE FROM {table} WHERE id BETWEEN {row} AND {row + 12}")
            case 5:
                self._transaction(table, row, argument)
            case 6:
                mode = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")[argument % 4]
                self.writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
            case 7:
                self.writer.execute("VACUUM" if argument % 4 == 0 else "REINDEX")
            case 8:
                self._roll_back(table, argument)
            case _:
                self._damage(argument)

    def _transaction(self, table: str, row: int, argument: int) -> None:
        self.writer.execute("BEGIN")
        for number in range(argument % 30):
            self.write(table, row + number, str(argument))
        self.writer.execute("COMMIT")

    def _roll_back(self, table: str, argument: int) -> None:
        """Leave frames of an uncommitted transaction in the log, which SQLite writes when its cache is small."""
        self.writer.execute("PRAGMA cache_size = 1")
        self.writer.execute("BEGIN")
        for number in range(1, 40):
            self.write(table, number, "never" * (argument % 9))
        self.writer.execute("ROLLBACK")

    def _damage(self, argument: int) -> None:
        """Cut the log, or write into its newest frames."""
        log = companion(self.path, "-wal")
        size = log.stat().st_size
        if size <= _FRAME + 32:
            return
        self.damaged = True
        with log.open("r+b") as file:
            if argument % 3 == 0:
                file.truncate(max(32, size - argument))
            else:
                file.seek(max(32, size - 1 - argument * 3 % _FRAME))
                file.write(bytes([argument]))


@dataclass(frozen=True)
class Moment:
    """What SQLite and the plugin see at one moment."""

    rows: Rows
    version: Any


def moment(site: Site) -> Moment:
    """Read both in one read transaction, as the follower does."""
    site.reader.execute("BEGIN")
    try:
        rows = site.rows()
        return Moment(rows, read_version(site.path))
    finally:
        site.reader.execute("ROLLBACK")


def run(program: bytes) -> Iterator[bool]:
    """Run a program and compare with SQLite after every four steps. Yield whether the log showed what changed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = stack.enter_context(closing(Site(folder)))
        seen = SeenRows()
        before = moment(site)
        for start in range(0, len(program), 8):
            try:
                for code, argument in zip(
                    program[start : start + 8 : 2], program[start + 1 : start + 8 : 2], strict=False
                ):
                    site.step(code, argument)
                after = moment(site)
            except sqlite3.Error:
                assert site.damaged
                assert_never_fails(site, before)
                return
            changes = changes_since(site.path, before.version, after.version, across_restarts=True, seen=seen)
            yield changes is not None
            if changes is not None:
                missing = missed(before.rows, after.rows, changes.rows)
                assert not missing or changes.other_pages, f"rows that changed and are not named: {missing}"
                short = {key for key in missing if all(len(str(cell)) < _LONG for cell in after.rows[key])}
                assert not short, f"rows on one page that changed and are not named: {short}"
                seen.remember(changes, before.version, after.version)
                for table, row in (
                    before.rows.keys() - after.rows.keys()
                ):  # as the follower does: these rows are gone from the copy
                    for columns in range(_TABLES[table] + 1):
                        seen.forget(columns, [row])
            before = after


def missed(before: Rows, after: Rows, named: Any) -> set[tuple[str, int]]:
    """Return the new or changed rows that are not listed under any number of columns that their table can have."""
    changed = {key for key, row in after.items() if before.get(key) != row}
    return {
        (table, row)
        for table, row in changed
        if not any(row in ids for columns, ids in named.items() if columns <= _TABLES[table])
    }


def assert_never_fails(site: Site, before: Moment) -> None:
    """Read a damaged log: whatever it contains, the result is an answer or None, not an error."""
    changes_since(site.path, before.version, read_version(site.path), across_restarts=True)


def test_the_corpus() -> None:
    told = [any(run(program)) for program in corpus("wal")]
    assert told.count(True) > len(told) / 2, "the log seldom shows what changed, so little is compared"


@given(inputs("wal", longest=80))
def test_programs(program: bytes) -> None:
    for _ in run(program[:160]):
        pass


@given(inputs("wal", longest=40), inputs("wal", longest=40))
def test_a_log_of_another_database(one: bytes, other: bytes) -> None:
    """Somebody copies the log of one database over that of another: there is no error, and no invented row."""
    with tempfile.TemporaryDirectory() as folder:
        sites = []
        try:
            for number, program in enumerate((one, other)):
                place = Path(folder, str(number))
                place.mkdir()
                sites.append(site := Site(place))
                for code, argument in zip(program[:24:2], program[1:24:2], strict=False):
                    if code % 10 != 9:
                        site.step(code, argument)
            before = moment(sites[0])
            sites[0].write("small", 1, "later")
            after = moment(sites[0])
            shutil.copyfile(companion(sites[1].path, "-wal"), companion(sites[0].path, "-wal"))
            changes = changes_since(sites[0].path, before.version, after.version, across_restarts=True)
            assert changes is None, "the log of another database was taken for this one's"
        finally:
            for site in sites:
                site.close()
