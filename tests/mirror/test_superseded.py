"""Rows that a later row of the same unit replaces are looked for once in each moment of the mirror."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.domain.answers import superseded
from ceems_grpc.domain.questions.model import Source, StatsQuestion, UnitsQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.mirrors import NOW, ZONE, following

END = int(NOW.timestamp())
ROOT = Viewer("root")
DAY = 86_400


def wait_and_start(writer: sqlite3.Connection, count: int, offset: int = 0) -> None:
    """Give some units a second row as CEEMS writes it: of the time when they waited."""
    writer.execute("INSERT OR IGNORE INTO admin_users (name) VALUES ('root')")
    names = [name for _, name, *_ in writer.execute("PRAGMA table_info(units)") if name != "id"]
    changed = {
        "started_at_ts": "0",
        "started_at": "'Unknown'",
        "ended_at_ts": "0",
        "ended_at": "'Unknown'",
        "state": "'PENDING'",
    }
    values = ", ".join(changed.get(name, name) for name in names)
    writer.execute(
        f"INSERT INTO units ({', '.join(names)}) SELECT {values} FROM units"
        f" WHERE started_at_ts > 0 AND ended_at_ts > 0 ORDER BY ended_at_ts DESC LIMIT {count} OFFSET {offset}"
    )


async def answers(ceems: Ceems, days: int) -> list[Any]:
    span = Window(END - days * DAY, END)
    fields = ("cluster_id", "uuid", "started_at_ts")
    asked = [
        await ceems.stats(ROOT, StatsQuestion(span, admin=True)),
        await ceems.units(ROOT, UnitsQuestion(span, running=True, fields=fields, admin=True)),
        await ceems.usage(
            ROOT, UsageQuestion(span, source=Source.PRORATED, fields=("username", "num_units"), admin=True)
        ),
        await ceems.usage(ROOT, UsageQuestion(span, fields=("username", "num_units"), admin=True)),
    ]
    assert all(answer.table.num_rows for answer in asked)
    return [answer.table.to_pylist() for answer in asked]


@pytest.mark.parametrize("replaced", [(0, 200), (40, 200), (40, 5)], ids=["none", "some", "too many to name"])
async def test_answers_are_those_of_the_file(
    site: Path, writer: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: tuple[int, int]
) -> None:
    count, most = replaced
    monkeypatch.setattr(superseded, "_MOST_NAMED", most)
    looks = []
    look = superseded._times

    async def counted(reader: Any, where: Any) -> Any:
        looks.append(where)
        return await look(reader, where)

    monkeypatch.setattr(superseded, "_times", counted)
    wait_and_start(writer, count)
    file = Ceems(SqliteStore(site, zone=ZONE))
    async with following(site, tmp_path / "mirror") as store:
        assert await store.settled()
        mirror = Ceems(store)
        for days in (1, 15):
            assert await answers(mirror, days) == await answers(file, days)
        looks.clear()
        await mirror.stats(ROOT, StatsQuestion(Window(END - 3 * DAY, END), admin=True))
        assert len(looks) == (2 if most < count else 0)
        wait_and_start(writer, 3, offset=count)
        assert await store.settled()
        assert await answers(mirror, 14) == await answers(file, 14)
    await file.close()
