"""Windows of a stochastic ascent, with values that are not known."""

import numpy as np

from infer.numerics.stationarity import LEVEL_WINDOWS, has_levelled, has_risen, is_noise

NOISE = np.random.default_rng(0).normal(size=20)


def test_a_rise_beyond_the_noise_is_seen():
    assert has_risen(NOISE, NOISE + 5)
    assert not has_risen(NOISE, NOISE)


def test_unknown_values_are_left_out():
    part = np.where(np.arange(20) < 5, np.nan, NOISE)
    assert has_risen(part, part + 5)
    assert not has_risen(part, part)


def test_without_values_a_rise_cannot_be_excluded():
    assert has_risen(np.full(20, np.nan), np.full(20, np.nan))


LEVEL = NOISE[:LEVEL_WINDOWS]
RISING = LEVEL + np.arange(LEVEL_WINDOWS)


def test_an_elbo_levels_when_all_windows_are_known_and_no_later_ones_are_higher():
    assert has_levelled(LEVEL)
    assert not has_levelled(RISING)
    assert not has_levelled(np.where(np.arange(LEVEL_WINDOWS) == 0, np.nan, LEVEL))
    assert not has_levelled(np.where(np.arange(LEVEL_WINDOWS) == 0, -np.inf, LEVEL))


def test_parameters_that_wander_slowly_move_by_noise_once_the_elbo_is_level():
    # Within one window, a random walk looks like a drift.
    walk = np.cumsum(np.random.default_rng(0).normal(size=(10, 500)), 0)
    read = lambda packed: (packed, np.zeros_like(packed))  # noqa: E731
    assert is_noise(read, [walk], LEVEL, 0.05)[0]
    assert not is_noise(read, [walk], RISING, 0.05)[0]
    assert not is_noise(read, [np.full_like(walk, np.nan)], LEVEL, 0.05)[0]
    still, largest = is_noise(read, [np.zeros((10, 500))], RISING, 0.05)
    assert still
    assert largest == 0
