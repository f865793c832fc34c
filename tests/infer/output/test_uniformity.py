"""The p-value of ranks equals that by enumerating all ranks."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from infer.output.predictive.uniformity import compute_p_value, count_below, find_band


def statistic(ranks, largest):
    """The smallest two-sided probability of a cumulated count, by SciPy."""
    counts = np.array([sum(rank < r for rank in ranks) for r in range(1, largest + 1)])
    share = np.arange(1, largest + 1) / (largest + 1)
    low, high = (
        f(counts, len(ranks), share) for f in (binom.cdf, lambda k, *a: binom.sf(k - 1, *a))
    )
    return 2 * min(low.min(), high.min())


def test_the_p_value_is_the_share_of_ranks_as_uneven():
    every = [np.array(ranks) for ranks in product(range(4), repeat=5)]
    statistics = np.array([statistic(ranks, 3) for ranks in every])
    for ranks in every[::97]:
        expected = np.mean(statistics <= statistic(ranks, 3) * (1 + 1e-9))
        assert compute_p_value(ranks, 3) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "weights",
    [
        np.ones(100),
        np.linspace(0.4, 1.6, 100),
        1 + 8 * (np.linspace(-1, 1, 100) ** 2),
        np.where(np.arange(100) == 0, 12.0, 1.0),
    ],
    ids=["uniform", "shifted", "too narrow", "a heap"],
)
def test_ranks_leave_the_band_if_their_p_value_is_small(weights):
    ranks = np.random.default_rng(0).choice(100, 300, p=weights / weights.sum())
    edge, counts = find_band(300, 99, 0.01), count_below(ranks, 99)
    outside = bool(((counts < edge.low) | (counts > edge.high)).any())
    assert outside == (compute_p_value(ranks, 99) < 0.01)
    assert outside == (weights.std() > 0)


def test_uniform_ranks_leave_the_band_at_the_stated_rate():
    """20,000 vectors of ranks; within five standard errors, a false alarm in a million."""
    edge, rng = find_band(40, 9, 0.05), np.random.default_rng(1)
    counts = np.cumsum(rng.multinomial(40, np.full(10, 0.1), size=20_000), 1)[:, :-1]
    outside = ((counts < edge.low) | (counts > edge.high)).any(1).mean()
    # Counts are integers, so the band cannot have exactly the level asked for.
    assert 0.01 < outside < 0.05 + 5 * np.sqrt(0.05 * 0.95 / 20_000)
