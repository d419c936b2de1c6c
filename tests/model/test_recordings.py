"""The model against recorded answers of the reference server, and against the corrected ones."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.model.compare import differences, without_nothing
from tests.model.rest import RestModel

GOLDEN = Path(__file__).parent.parent / "golden"
NOW = 1_767_225_600  # 2026-01-01, when the recordings' database ends


def recordings(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(GOLDEN / name) as file:
        for record in json.load(file):
            if record["path"] != "health":
                yield record


@pytest.fixture(scope="module")
def model() -> RestModel:
    return RestModel(GOLDEN / "synthetic.db", ZoneInfo("Europe/Paris"), NOW)


@pytest.mark.parametrize("name", ["synthetic.golden.json.gz", "synthetic.better.json.gz"])
def test_the_model_explains_every_recording(model: RestModel, name: str) -> None:
    wrong: list[str] = []
    count = 0
    for count, record in enumerate(recordings(name), 1):  # noqa: B007 - counted on purpose
        pairs = [(key, value) for key, value in record["query"]]
        status, found = model.answer(record["user"], record["path"], pairs)
        wanted = record["body"]["data"] if record["status"] == 200 else record["body"]["error"]
        if record["status"] == 200:
            ours, theirs = ([without_nothing(row) for row in rows or []] for rows in (found, wanted))
            lines = differences(ours, theirs)
        else:
            lines = differences(found, wanted)
        if status != record["status"]:
            lines = [f"status {status} is not {record['status']}"]
        if lines:
            wrong.append(f"{record['user']} {record['path']} {pairs}: {lines[:3]}")
    assert count >= 40
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:20])
