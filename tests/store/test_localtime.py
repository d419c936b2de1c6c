"""Local times without an offset, especially in the hour that repeats."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.store.columnar.local_time import guess_zone, is_ambiguous_bound, local_text, moment_of, zone_fits
from ceems_grpc.store.plan import Instant, Scan, Table, Within
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.model.databases import ZONES, moments
from tests.support.databases import PARIS, make, unit

TURN = ZONES["Europe/Paris"]  # 2025-10-26 03:00 +0200 becomes 02:00 +0100
zones = st.sampled_from(sorted(ZONES))


@given(zones.flatmap(lambda name: st.tuples(st.just(ZoneInfo(name)), moments(ZONES[name]))), st.integers(0, 7200))
def test_a_unit_is_touched_last_when_it_ended_or_later(case: tuple[ZoneInfo, int], ago: int) -> None:
    zone, moment = case
    found = moment_of(zone)(local_text(moment, zone), (moment - ago) * 1000)
    assert found is not None
    assert local_text(found, zone) == local_text(moment, zone)
    if datetime.fromtimestamp(moment, zone).fold == 0 or ago == 0:
        assert found == moment or found >= moment - ago


@given(zones.flatmap(lambda name: st.tuples(st.just(ZoneInfo(name)), moments(ZONES[name]), moments(ZONES[name]))))
def test_texts_sort_as_moments_unless_a_bound_is_said_to_be_ambiguous(case: tuple[ZoneInfo, int, int]) -> None:
    zone, bound, moment = case
    if not is_ambiguous_bound(bound, zone):
        assert (local_text(moment, zone) <= local_text(bound, zone)) == (moment <= bound)


@pytest.mark.parametrize("text", ["", None, "Unknown", "N/A", "2025-13-01T00:00:00", "2025-10-26"])
def test_what_is_no_time_is_no_moment(text: str | None) -> None:
    assert moment_of(PARIS)(text, 0) is None


def test_an_offset_behind_the_time_is_passed_over() -> None:
    assert moment_of(PARIS)("2025-12-01T09:00:00+0100", 0) == 1_764_576_000


def test_moments_beyond_all_dates_are_the_last() -> None:
    assert local_text(2**62, PARIS) >= "9999-01-01"
    assert not is_ambiguous_bound(2**62, PARIS)
    assert not is_ambiguous_bound(-(2**62), PARIS)


def test_a_zone_fits_if_it_had_every_offset_at_its_moment() -> None:
    assert zone_fits(PARIS, [(TURN - 1, "+0200"), (TURN, "+0100")])
    assert not zone_fits(PARIS, [(TURN - 1, "+0100")])


def test_offsets_that_fit_no_zone_together_are_utc() -> None:
    assert guess_zone([(TURN, "+0307"), (TURN, "+0211")]) is UTC


@pytest.mark.parametrize(
    ("start", "end", "uuids"),
    [
        (TURN - 3600, TURN - 1, ["first"]),  # 02:00 to 03:00, the first time
        (TURN, TURN + 3599, ["second"]),  # and again
        (TURN - 1800, TURN - 1800, ["first"]),
        (TURN + 1800, TURN + 1800, ["second"]),
        (TURN - 1799, TURN + 1799, []),
        (TURN - 90_000, TURN + 90_000, ["first", "second"]),
    ],
)
async def test_windows_in_the_hour_that_happens_twice(tmp_path: Path, start: int, end: int, uuids: list[str]) -> None:
    rows = [unit(0, TURN - 1800, uuid="first"), unit(1, TURN + 1800, uuid="second")]
    assert rows[0]["last_updated_at"] == rows[1]["last_updated_at"] == "2025-10-26T02:30:00"
    store = SqliteStore(make(tmp_path / "ceems.db", rows), zone=PARIS)
    async with store.read() as reader:
        table = await reader.table(Scan(Table.UNITS, ("uuid",), Within(Instant.UPDATED, start, end)))
    assert table.column("uuid").to_pylist() == uuids
    await store.close()
