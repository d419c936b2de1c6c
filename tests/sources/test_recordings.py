"""The recorded answers, from a list of one source, and from the same database split by cluster into two sources."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.golden.panels_and_rest import differences
from tests.support.plugin.ceems import COMMAND, CeemsPlugin
from tests.support.plugin.process import running
from tests.support.recordings import ALL, Recordings

_TABLES = ("units", "usage", "daily_usage", "users", "projects")


def split_by_cluster(database: Path, folder: Path) -> list[Path]:
    """Write two databases, with the rows of the odd and of the even clusters; administrators are in both."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        clusters = [row[0] for row in connection.execute("SELECT DISTINCT cluster_id FROM units ORDER BY 1")]
    assert len(clusters) > 1
    paths = []
    for number in range(2):
        path = folder / f"{number}.db"
        shutil.copy(database, path)
        others = clusters[1 - number :: 2]
        with closing(sqlite3.connect(path)) as connection:
            marks = ", ".join("?" * len(others))
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table} WHERE cluster_id IN ({marks})", others)
            connection.commit()
        paths.append(path)
    return paths


def in_a_list(database: Path, folder: Path) -> list[Path]:
    """Return the database as the only source of a list."""
    return [database]


@pytest.mark.parametrize(
    ("recordings", "places"),
    [(ALL[1], in_a_list), *((recordings, split_by_cluster) for recordings in ALL)],
    ids=lambda value: getattr(value, "__name__", None) or value.name,
)
async def test_answers_are_those_recorded(recordings: Recordings, places: Any, tmp_path: Path) -> None:
    sources = [
        {"name": f"part-{number}", "path": str(path)}
        for number, path in enumerate(places(recordings.database, tmp_path))
    ]
    async with running(COMMAND) as plugin:
        wrong = await differences(CeemsPlugin(plugin, {"sources": sources, "sourceTimeout": "30s"}), recordings)
    assert not wrong, "\n".join(sorted(wrong)[:10])
