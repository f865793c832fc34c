"""A metric is to vary if chains mix slowly, have arrived, and scales follow other coordinates."""

import numpy as np
import pytest

from infer.numerics.metric_choice import MIN_DRAWS, is_more_efficient, needs_hierarchical_metric

CHAINS, DRAWS, SIZE = 4, 140, 6


def autoregress(share, seed=0):
    """Make standard normal series, shape (chains, draws, size), with this correlation."""
    noise = np.random.default_rng(seed).normal(size=(DRAWS, CHAINS, SIZE))
    series = noise.copy()
    for i in range(1, DRAWS):
        series[i] = share * series[i - 1] + np.sqrt(1 - share**2) * noise[i]
    return series.swapaxes(0, 1)


def bend(white, slope=1.0):
    """Let all scales but the first follow it; return draws, scores and log densities."""
    v, y = 1.5 * white[..., :1], white[..., 1:]
    z = np.exp(slope * v) * y
    of_v = -v / 1.5**2 + slope * (y**2 - 1).sum(-1, keepdims=True)
    level = -0.5 * (white**2).sum(-1) - slope * (SIZE - 1) * v[..., 0]
    return np.concatenate([v, z], -1), np.concatenate([of_v, -y * np.exp(-slope * v)], -1), level


def test_slow_chains_in_a_funnel_call_for_a_metric_that_varies():
    assert needs_hierarchical_metric(*bend(autoregress(0.95)))


@pytest.mark.parametrize(("share", "slope"), [(0.0, 1.0), (0.95, 0.0), (0.95, 0.1)])
def test_fast_chains_and_constant_scales_do_not(share, slope):
    assert not needs_hierarchical_metric(*bend(autoregress(share), slope))


def test_chains_that_still_rise_do_not():
    draws, scores, log_densities = bend(autoregress(0.95))
    assert not needs_hierarchical_metric(draws, scores, log_densities + np.linspace(0, 200, DRAWS))


@pytest.mark.parametrize("half", [slice(DRAWS // 2), slice(DRAWS // 2, None)])
def test_a_dependence_in_one_half_of_the_window_does_not(half):
    white = autoregress(0.95)
    draws, scores, log_densities = (a.copy() for a in bend(white))
    straight = bend(white, 0.0)
    for own, other in zip((draws, scores, log_densities), straight, strict=True):
        own[:, half] = other[:, half]
    assert not needs_hierarchical_metric(draws, scores, log_densities)


def test_short_windows_and_single_coordinates_do_not():
    draws, scores, log_densities = bend(autoregress(0.95))
    few = slice(MIN_DRAWS - 1)
    assert not needs_hierarchical_metric(draws[:, few], scores[:, few], log_densities[:, few])
    assert not needs_hierarchical_metric(draws[..., :1], scores[..., :1], log_densities)


def test_scores_that_are_not_finite_are_left_out():
    draws, scores, log_densities = bend(autoregress(0.95))
    scores[1, 3, 2] = np.nan
    assert needs_hierarchical_metric(draws, scores, log_densities)


def test_a_metric_is_more_efficient_if_effective_draws_take_fewer_gradients():
    slow, fast, steps = autoregress(0.9), autoregress(0.0), np.full((CHAINS, DRAWS), 7)
    assert is_more_efficient(slow, steps, fast, steps)
    assert not is_more_efficient(fast, steps, slow, steps)
    assert not is_more_efficient(slow, steps, fast, 100 * steps)
