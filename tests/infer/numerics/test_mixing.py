"""R-hat and effective sample sizes of many quantities at once are those of ArviZ."""

import arviz as az
import numpy as np
import pytest
from scipy.fft import next_fast_len
from scipy.special import ndtri

from infer.numerics.mixing import _even_out, measure_mixing
from infer.numerics.rank_quantiles import BLOM, find_rank_quantiles


def make_series(chains, draws, seed=0):
    """Series of several correlations, some with repeated draws, some with chains apart."""
    rng = np.random.default_rng(seed)
    rhos = np.repeat([0.0, 0.5, 0.9, 0.99, -0.5, -0.9], 4)
    noise = rng.normal(size=(len(rhos), chains, draws))
    for i in range(1, draws):
        noise[..., i] *= np.sqrt(1 - rhos**2)[:, None]
        noise[..., i] += rhos[:, None] * noise[..., i - 1]
    noise[1::4, :, 1::2] = noise[1::4, :, : draws - 1 : 2]
    noise[2::4] += np.arange(chains)[:, None]
    return noise


# With 101 draws, say, the 5 % quantile is a draw, and ArviZ 0.x rounds it to above or below it.
@pytest.mark.parametrize("draws", [4, 5, 6, 7, 10, 99, 250])
@pytest.mark.parametrize("chains", [1, 2, 4])
def test_all_three_equal_those_of_arviz(chains, draws):
    series = make_series(chains, draws)
    found = measure_mixing(series)
    oracle = [
        [float(az.rhat(own)) if chains > 1 else np.nan for own in series],
        [float(az.ess(own, method="bulk")) for own in series],
        [float(az.ess(own, method="tail", prob=(0.05, 0.95))) for own in series],
    ]
    np.testing.assert_allclose(np.stack(found), oracle, rtol=1e-9)


def test_many_quantities_are_measured_in_parts_and_none_gives_none(monkeypatch):
    series = make_series(2, 50)
    whole = measure_mixing(series)
    monkeypatch.setattr("infer.numerics.mixing.MAX_ENTRIES", 500)
    np.testing.assert_array_equal(np.stack(measure_mixing(series)), np.stack(whole))
    assert [len(own) for own in measure_mixing(series[:0])] == [0, 0, 0]


@pytest.mark.parametrize("count", [1, 2, 5, 100_000])
def test_quantiles_of_ranks_are_those_of_scipy(count):
    ranks = np.arange(2, 2 * count + 1) / 2
    expected = ndtri((ranks - BLOM) / (count - 2 * BLOM + 1))
    found, lower = find_rank_quantiles(count), slice(count)
    # SciPy's argument loses digits near one half and one.
    np.testing.assert_allclose(found[lower], expected[lower], rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(found, -found[::-1])


def test_transforms_are_as_long_as_scipy_would_make_them():
    for count in range(1, 2000):
        assert _even_out(count) == next_fast_len(count, real=True)
