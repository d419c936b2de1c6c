"""Windows: missing ends, units of time, rounding and the longest that is allowed."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.window import Window, check_window, make_window, seconds_of

NOW = 1_764_576_000
moments = st.integers(0, 4_000_000_000)


def test_without_an_end_the_window_ends_now() -> None:
    assert make_window(5, None, NOW) == Window(5, NOW)


def test_without_a_start_the_window_starts_a_day_before_its_end() -> None:
    assert make_window(None, 1_000_000, NOW) == Window(1_000_000 - 86_400, 1_000_000)
    assert make_window(None, None, NOW) == Window(NOW - 86_400, NOW)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (0, 0),
        (99_999_999_999, 99_999_999_999),
        (100_000_000_000, 100_000_000),
        (1_764_576_000_999, 1_764_576_000),
        (-5, 0),
        (-100_000_000_000, 0),
        (2**63 - 1, 253_402_300_799),
    ],
)
def test_large_timestamps_are_milliseconds(given: int, seconds: int) -> None:
    assert seconds_of(given) == seconds


@given(moments, moments)
def test_rounding_widens_to_quarters_of_an_hour_and_no_further(start: int, end: int) -> None:
    wide = Window(start, end).rounded()
    assert wide.start % 900 == wide.end % 900 == 0
    assert 0 <= start - wide.start < 900
    assert 0 <= wide.end - end < 900
    assert wide.rounded() == wide


def test_a_window_may_be_as_long_as_the_maximum_and_no_longer() -> None:
    check_window(Window(0, 3600), timedelta(hours=1))
    check_window(Window(0, 10**9), None)
    with pytest.raises(QuestionError, match="maximum query window exceeded") as caught:
        check_window(Window(0, 3601), timedelta(hours=1))
    assert caught.value.status == 400
