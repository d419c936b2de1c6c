"""A minute of many clients beside a writer that never rests; `make soak` is the same for longer, and measures."""

from pathlib import Path

from tests.load.mix import make_database, mixed_load


async def test_a_minute_of_mixed_load_beside_a_writer(tmp_path: Path) -> None:
    database = tmp_path / "ceems.db"
    user = make_database(database, 100_000)
    report = await mixed_load(database, tmp_path / "mirror", user, clients=32, seconds=60, pause=5)
    print("\n".join(report.lines()))  # noqa: T201 - `pytest -s` shows how long questions took
    assert report.faults(timed=False) == []
    assert len(report.small) > 100
    assert len(report.heavy) > 5
    assert report.ledger > 10
    assert len(report.commits) >= 3
    assert report.commits[-1].commit == len(report.commits)
