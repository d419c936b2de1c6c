"""A minute of many clients next to a writer that never rests; `make soak` runs the same for longer, and measures."""

from pathlib import Path

from tests.load.mix import make_database, mixed_load
from tests.load.report import Report


def enough(report: Report) -> bool:
    """Return whether there was enough load, which takes longer on a busy machine."""
    return len(report.small) > 100 and len(report.heavy) > 5 and report.ledger > 10 and len(report.commits) >= 3


async def test_a_minute_of_mixed_load_beside_a_writer(tmp_path: Path) -> None:
    database = tmp_path / "ceems.db"
    user = make_database(database, 100_000)
    report = await mixed_load(database, tmp_path / "mirror", user, clients=32, seconds=60, pause=5, enough=enough)
    print("\n".join(report.lines()))  # noqa: T201 - `pytest -s` shows how long questions took
    assert report.faults(timed=False) == []
    assert enough(report)
    assert report.commits[-1].commit == len(report.commits)
