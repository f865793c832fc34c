"""Batch and match against a conjugate regression, and on a prior known by its score alone."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.numerics.families.full_rank import FullRank
from infer.numerics.score_matching import match_scores

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)) @ np.array([[1, 0.9, 0], [0, 1, 0.5], [0, 0, 1]])
Y = X @ np.array([1.0, 2.0, -1.0]) + RNG.normal(size=50)
PRECISION = X.T @ X + np.eye(3) / 9
COVARIANCE = np.linalg.inv(PRECISION)
MEAN = COVARIANCE @ X.T @ Y
SD = np.sqrt(np.diag(COVARIANCE))


@pytest.fixture(scope="module")
def fit():
    """Fit a regression whose prior is known by its score alone."""

    def regression(site, x, y):
        b = site("b", infer.ScorePrior(lambda b: -b / 9, (3,)))
        site.observe("y", dist.Normal(x @ b, 1.0), y)

    return infer.fit(infer.model(regression, x=X, y=Y), infer.BatchAndMatch(), progress=False)


def test_scores_alone_give_mean_and_covariance_of_a_normal_posterior(fit):
    assert fit.converged
    np.testing.assert_allclose((fit.distribution.mean - MEAN) / SD, 0, atol=1e-3)
    factor = np.asarray(fit.distribution.factor)
    np.testing.assert_allclose(factor @ factor.T, COVARIANCE, rtol=1e-3)


def test_a_density_without_value_has_no_elbo_and_no_finding(fit):
    assert np.isnan(fit.elbo)
    assert np.isnan(fit.khat)
    assert fit.findings == ()


@pytest.mark.parametrize("rows", [2, 7])
def test_the_match_solves_its_equation(rows):
    spread, scores = 2 * RNG.normal(size=(rows, 5)), RNG.normal(size=(rows, 5))
    found = jax.jit(match_scores)(spread, scores)
    factor = np.eye(5)
    left, right = found.change(found.columns)
    factor = factor + np.asarray(left @ right)
    solution = factor @ factor.T
    before = np.eye(5) + spread.T @ spread
    np.testing.assert_allclose(solution @ scores.T @ scores @ solution + solution, before)
    np.testing.assert_allclose(found.log_det, np.linalg.slogdet(factor)[1])
    vector = RNG.normal(size=5)
    np.testing.assert_allclose(found.multiply(jnp.asarray(vector)), solution @ vector)


def test_a_step_is_that_of_the_paper():
    """Algorithm 1 in plain matrices, of a normal with correlated coordinates."""
    rate, (mean, factor) = 0.7, (RNG.normal(size=3), RNG.normal(size=(3, 3)))
    noise, scores = RNG.normal(size=(2, 4, 3))
    normal = FullRank().begin(jnp.asarray(mean), jnp.asarray(factor))
    moved = jax.jit(lambda q, *rows: q.match_with_mean(*rows, rate))(normal, noise, scores)
    draws, share = mean + noise @ factor.T, rate / (1 + rate)
    spread, curvature = (np.cov(rows.T, bias=True) for rows in (draws, scores))
    far, steep = mean - draws.mean(0), scores.mean(0)
    u = rate * curvature + share * np.outer(steep, steep)
    v = factor @ factor.T + rate * spread + share * np.outer(far, far)
    s = np.asarray(moved.factor @ moved.factor.T)
    np.testing.assert_allclose(s @ u @ s + s, v, rtol=1e-9)
    exact = mean / (1 + rate) + share * (s @ steep + draws.mean(0))
    np.testing.assert_allclose(moved.mean, exact, rtol=1e-9)


def test_a_batch_without_spread_is_refused():
    with pytest.raises(infer.EngineError, match="no spread to be matched"):
        infer.BatchAndMatch(batch=1)
