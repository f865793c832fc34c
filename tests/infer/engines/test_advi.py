"""ADVI on a conjugate regression reaches the posterior, or the best mean field."""

import numpy as np
import numpyro.distributions as dist
import pytest

import infer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)) @ np.array([[1, 0.8, 0], [0, 1, 0.5], [0, 0, 1]])
Y = X @ np.array([1.0, 2.0, -1.0]) + RNG.normal(size=50)
# Prior b ~ Normal(0, 3), noise of unit variance.
PRECISION = X.T @ X + np.eye(3) / 9
COVARIANCE = np.linalg.inv(PRECISION)
MEAN = COVARIANCE @ X.T @ Y
SD = np.sqrt(np.diag(COVARIANCE))
EVIDENCE = dist.MultivariateNormal(
    np.zeros(50), np.eye(50) + 9 * X @ X.T
).log_prob(Y)  # fmt: skip


def regression(site, x, y):
    b = site("b", dist.Normal(0.0, 3.0), shape=(3,))
    site.observe("y", dist.Normal(x @ b, 1.0), y)


@pytest.fixture(scope="module")
def fits():
    model = infer.model(regression, x=X, y=Y)
    return {f: infer.fit(model, infer.ADVI(f)) for f in ("full_rank", "mean_field")}


def test_full_rank_is_the_posterior(fits):
    normal = fits["full_rank"].normal
    np.testing.assert_allclose((normal.mean - MEAN) / SD, 0, atol=0.02)
    covariance = normal.scale @ normal.scale.T
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), SD, rtol=0.02)
    correlation = covariance / np.outer(SD, SD)
    np.testing.assert_allclose(correlation, COVARIANCE / np.outer(SD, SD), atol=0.02)


def test_full_rank_elbo_is_the_evidence(fits):
    np.testing.assert_allclose(fits["full_rank"].elbo, EVIDENCE, atol=0.01)


def test_mean_field_is_the_analytic_optimum(fits):
    """The best independent normal has the posterior's mean and variances 1 / precision."""
    normal = fits["mean_field"].normal
    np.testing.assert_allclose((normal.mean - MEAN) / SD, 0, atol=0.02)
    np.testing.assert_allclose(normal.scale, 1 / np.sqrt(np.diag(PRECISION)), rtol=0.02)


def test_fits_converge_and_tell_how_far_to_trust_them(fits):
    assert all(fit.converged for fit in fits.values())
    assert fits["full_rank"].khat < 0.2
    assert fits["full_rank"].khat < fits["mean_field"].khat


def test_draws_and_log_density_belong_together(fits):
    fit = fits["full_rank"]
    draws = fit.positions(4000, key=2)
    np.testing.assert_allclose(draws.std(0), SD, rtol=0.06)
    exact = dist.MultivariateNormal(
        fit.normal.mean, scale_tril=fit.normal.scale
    ).log_prob(draws)  # fmt: skip
    np.testing.assert_allclose(fit.log_prob(draws), exact, rtol=1e-8)
    assert fit.sample(10)["posterior"]["b"].shape == (1, 10, 3)


def test_a_fit_cut_short_says_so():
    model = infer.model(regression, x=X, y=Y)
    assert not infer.fit(model, infer.ADVI(tolerance=1e-9), epochs=20).converged


def test_the_scale_of_the_posterior_does_not_matter():
    """Steps are in the approximation's own units: a hundred standard deviations are crossed."""

    def far(site, y):
        m = site("m", dist.Normal(0.0, 100.0))
        site.observe("y", dist.Normal(m, 1e-2), y)

    fit = infer.fit(infer.model(far, y=np.array([50.0])), starts={"m": 49.0})
    np.testing.assert_allclose(fit.normal.mean, 50, atol=2e-4)
    np.testing.assert_allclose(fit.normal.scale, 1e-2, rtol=0.02)


def test_a_fit_whose_every_step_was_skipped_has_not_converged():
    import jax.numpy as jnp

    import bijectors as bj

    half = infer.declared(
        lambda v: jnp.where((v["x"] > 0).all(), -v["x"].sum(), -jnp.inf),
        {"x": bj.Real(shape=(2,))},
    )
    fit = infer.fit(half, starts={"x": np.full(2, 0.01)}, epochs=40)
    assert not fit.converged
