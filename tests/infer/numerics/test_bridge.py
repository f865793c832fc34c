"""Warp-III bridge sampling against integrals in closed form; NumPy alone, nothing compiles."""

import numpy as np
import pytest
from scipy import stats

from infer.numerics.bridge import bridge, fit_warp, solve_bridge

LOG_INTEGRAL = 7.0


def skewed(points):
    """A product of log-gammas, times exp(7)."""
    return LOG_INTEGRAL + stats.loggamma(2.0).logpdf(points).sum(1)


def estimate(seed, keep=0.0):
    """Bridge from an autoregressive process of stationary law `skewed`; `keep` correlates it."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(4, 1000, 2))
    for t in range(1, 1000):
        noise[:, t] = keep * noise[:, t - 1] + np.sqrt(1 - keep**2) * noise[:, t]
    draws = stats.loggamma(2.0).ppf(stats.norm.cdf(noise))
    warp = fit_warp(draws[:, :500].reshape(-1, 2))
    assert warp is not None
    return bridge(skewed, warp, draws[:, 500:], seed)


@pytest.mark.parametrize("keep", [0.0, 0.9])
def test_the_standard_error_is_the_spread_of_the_estimates(keep):
    # The false-alarm rate of both bounds together is below 1e-4 for a true standard error.
    found = [estimate(seed, keep) for seed in range(40)]
    scores = [(one.log_integral - LOG_INTEGRAL) / one.standard_error for one in found]
    assert abs(np.mean(scores)) < 4 / np.sqrt(40)
    assert 0.6 < np.std(scores) < 1.5


def test_the_bridge_between_two_normals_is_their_ratio():
    rng = np.random.default_rng(0)
    shifted = rng.normal(1.0, 1.0, (4, 5000))
    ratio = lambda x: 3.0 + stats.norm(1, 1).logpdf(x) - stats.norm.logpdf(x)  # noqa: E731
    found = solve_bridge(ratio(shifted), ratio(rng.normal(size=20_000)))
    assert abs(found.log_integral - 3.0) < 4 * found.standard_error < 0.06


def test_densities_that_never_meet_have_an_infinite_error():
    rng = np.random.default_rng(0)
    draws = rng.normal(0, 1e-3, (4, 100)) + 8.0
    ratio = lambda x: stats.norm(8, 1e-3).logpdf(x) - stats.norm.logpdf(x)  # noqa: E731
    found = solve_bridge(ratio(draws), ratio(rng.normal(size=400)))
    assert found.standard_error == np.inf
    assert found.overlap == 0


def test_no_normal_is_fitted_to_too_few_or_equal_draws():
    assert fit_warp(np.zeros((3, 3))) is None
    assert fit_warp(np.zeros((9, 3))) is None
