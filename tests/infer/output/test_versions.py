"""The Pareto shape of importance ratios, where it is known."""

import numpy as np

from infer.output.versions import pareto_k


def test_equal_ratios_have_no_tail():
    assert pareto_k(np.full(2000, 3.0)) == -np.inf
    assert pareto_k(3.0 + 1e-14 * np.arange(2000)) == -np.inf


def test_the_shape_of_a_pareto_tail_is_found():
    """Ratios U^-k have a tail of shape k; the estimate from 20,000 has a deviation near 0.05."""
    uniforms = np.random.default_rng(0).random(20_000)
    for k in (0.3, 0.8):
        assert abs(pareto_k(-k * np.log(uniforms)) - k) < 0.15


def test_ratios_without_a_law_are_not_called_exact():
    """Equal since each is the number that stands for one that is not finite, say."""
    ratios = np.random.default_rng(0).normal(size=2000)
    assert pareto_k(np.full(2000, -np.inf)) == np.inf
    assert pareto_k(np.where(np.arange(2000) == 7, np.nan, ratios)) == np.inf
    assert pareto_k(np.where(np.arange(2000) == 7, np.inf, ratios)) == np.inf
    # A nat is a nat, however large the ratios are.
    assert pareto_k(ratios - 3e9) > -np.inf
    np.testing.assert_allclose(pareto_k(ratios - 3e9), pareto_k(ratios), atol=1e-3)
    assert pareto_k(ratios.astype(np.float32) * 50) > 0.7
