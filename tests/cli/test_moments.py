from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.moments import moment

NOW = datetime(2026, 11, 23, 12, 30, 45, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
MOMENTS = st.integers(10**8, 7 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("now-90s", NOW - timedelta(seconds=90)),
        ("now-5m", NOW - timedelta(minutes=5)),
        ("now+2h", NOW + timedelta(hours=2)),
        ("now-30d", NOW - timedelta(days=30)),
        (" now-1w ", NOW - timedelta(days=7)),
        ("2026-07-01", datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("2026-12-01", datetime(2026, 11, 30, 23, tzinfo=UTC)),
        ("2026-12-01T08:00", datetime(2026, 12, 1, 7, tzinfo=UTC)),
        ("2026-12-01 08:00:30", datetime(2026, 12, 1, 7, 0, 30, tzinfo=UTC)),
        ("2026-12-01T08:00:00Z", datetime(2026, 12, 1, 8, tzinfo=UTC)),
        ("2026-12-01T08:00:00+09:00", datetime(2026, 11, 30, 23, tzinfo=UTC)),
    ],
)
def test_texts(text: str, expected: datetime) -> None:
    assert moment(text, NOW, PARIS) == expected


def test_a_date_as_an_end_is_its_last_second() -> None:
    assert moment("2026-12-01", NOW, PARIS, end=True) == datetime(2026, 12, 1, 22, 59, 59, tzinfo=UTC)
    assert moment("2026-12-01T00:00", NOW, PARIS, end=True) == datetime(2026, 11, 30, 23, tzinfo=UTC)


@given(MOMENTS)
def test_numbers_are_seconds_or_milliseconds(instant: datetime) -> None:
    seconds = int(instant.timestamp())
    assert moment(str(seconds), NOW) == instant
    assert moment(str(seconds * 1000), NOW) == instant


@given(MOMENTS, st.sampled_from([PARIS, ZoneInfo("Asia/Kolkata"), UTC]))
def test_what_is_written_is_read_back(instant: datetime, zone: ZoneInfo) -> None:
    assert moment(instant.astimezone(zone).isoformat(), NOW, PARIS) == instant


@given(st.text(max_size=20))
def test_anything_else_is_a_command_error(text: str) -> None:
    try:
        found = moment(text, NOW, PARIS)
    except CommandError:
        return
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "yesterday", "now-", "now-3", "now-3y", "2026", "20261123", "2026-13-01", "-1"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(CommandError, match="is not a time"):
        moment(text, NOW, PARIS)
