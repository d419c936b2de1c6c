"""The slope of memory: a line is fitted through noise, and its interval says how certain it is."""

import random

import pytest

from tests.load.trend import trend


def test_a_line_has_its_slope_and_no_margin() -> None:
    found = trend([5.0 + 2.0 * second / 3600 for second in range(7200)], 1.0)
    assert found
    assert found.slope == pytest.approx(2.0)
    assert found.margin == pytest.approx(0.0, abs=1e-6)


def test_the_interval_holds_the_slope_of_most_noisy_lines() -> None:
    random_ = random.Random(1)
    held = 0
    for _ in range(200):
        found = trend([3.0 * index / 3600 + random_.gauss(0, 5) for index in range(2000)], 1.0)
        assert found
        held += found.lowest <= 3.0 <= found.highest
    assert 180 <= held <= 199


def test_noise_alone_is_flat_and_steps_up_are_not() -> None:
    random_ = random.Random(2)
    noise = [100 + random_.gauss(0, 1) for _ in range(2000)]
    flat = trend(noise, 1.0)
    steps = trend([value + index // 200 for index, value in enumerate(noise)], 1.0)
    assert flat
    assert steps
    assert flat.lowest < 0 < flat.highest
    assert steps.lowest > 15


def test_too_few_samples_have_no_slope() -> None:
    assert trend([1.0] * 19, 1.0) is None
