"""Windows of a stochastic ascent, with values that are not known."""

import numpy as np

from infer.numerics.stationarity import has_risen

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
