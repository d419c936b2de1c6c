"""Databases whose columns hold values of any type and size, and questions of every kind about them."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.answers.suggestions import SuggestionKind, SuggestQuestion
from ceems_grpc.domain.questions.model import (
    Directory,
    DirectoryQuestion,
    Mode,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeStep, TimeSteps
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana import Frame
from ceems_grpc.health import health_result
from ceems_grpc.panels.frames import series_frames, table_frame
from ceems_grpc.schema import COLUMNS
from ceems_grpc.store.plan import Table
from ceems_grpc.store.protocols import Store
from tests.model.databases import Contents, databases
from tests.support.plans import Plan, plans

ODD: list[Any] = [
    -62135596800000,
    1_750_000_000_000_000,
    -1,
    2**63 - 1,
    -(2**63),
    253_402_300_799_999,
    253_402_300_800_000,
    1.5,
    1e300,
    float("inf"),
    "soon",
    "",
    "0001-01-01T00:09:21+0009",
    "9999-12-31T23:59:59",
    "0001-01-01T00:00:00",
    b"",
    b"ann",
    b'{"total":1}',
    b'["ann"]',
    '{"total":9e307}',
    '{"total":"\\ud800","walltime":[1]}',
    '["ann",5,"\\ud800"]',
    "5",
    None,
]
_KEPT_AS_WRITTEN = {"id", "uuid", "cluster_id", "started_at"}  # keys of the tables
Odd = tuple[str, str, int, Any]


@st.composite
def odd_values(draw: st.DrawFn) -> Odd:
    """Return a table, a column, a row and a value to write there."""
    table = draw(st.sampled_from(sorted(Table)))
    names = {column.name for column in COLUMNS[table].values() if column.until is None}
    return table, draw(st.sampled_from(sorted(names - {"id"}))), draw(st.integers(1, 8)), draw(st.sampled_from(ODD))


def spoil(path: Path, values: list[Odd], *, typed: bool) -> None:
    """Write values into the database. ``typed``: columns keep their declared types, which convert some values."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if not typed:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_master SET sql = replace(sql, ' text', ' blob') WHERE type = 'table'")
            connection.execute("PRAGMA writable_schema = RESET")
        for table, column, row, value in values:
            connection.execute(f'UPDATE OR IGNORE {table} SET "{column}" = ? WHERE id = ?', [value, row])


def _series(answer: Answer, steps: TimeSteps) -> list[Frame]:
    return series_frames("A", answer, ("username",), steps, wide=True)


async def ask_everything(store: Store, window: Window) -> None:
    ceems = Ceems(store)
    for viewer in (Viewer("ann"), Viewer("root", admin_by_role=True)):
        answers = [
            await ceems.units(viewer, UnitsQuestion(window, running=True, admin="auto")),
            await ceems.usage(viewer, UsageQuestion(window, admin="auto")),
            await ceems.usage(viewer, UsageQuestion(window, source=Source.DAILY, admin="auto")),
            await ceems.usage(viewer, UsageQuestion(window, Mode.GLOBAL, admin="auto")),
            await ceems.stats(viewer, StatsQuestion(window, admin="auto")),
        ]
        for source in Source:
            asked = UsageOverTimeQuestion(window, TimeStep.DAY, source=source, group_by=("username",), admin="auto")
            for frame in _series(*await ceems.usage_over_time(viewer, asked)):
                frame.to_arrow()
        answers += [
            await ceems.directory(viewer, DirectoryQuestion(directory, admin="auto"))
            for directory in (Directory.USERS, Directory.PROJECTS, Directory.CLUSTERS)
        ]
        for answer in answers:
            table_frame("A", answer).to_arrow()
        for kind in SuggestionKind:
            await ceems.suggest(viewer, SuggestQuestion(kind, column="tags.total"))
        async for _ in ceems.units_stream(viewer, UnitsQuestion(window, running=True, admin="auto"), "Asia/Tokyo", []):
            pass
    health_result(await ceems.facts(), full_path=True, now=datetime.now(UTC))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Contents, list[Odd], list[Plan]]:
    contents = draw(databases())
    return (
        contents,
        draw(st.lists(odd_values(), min_size=1, max_size=25)),
        draw(st.lists(plans(contents.turn), max_size=8)),
    )
