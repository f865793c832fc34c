"""ADVI on a conjugate regression converges to the posterior, or to the best mean field."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors as bj
import infer
from infer.numerics.families.mean_field import IndependentNormal
from infer.output.data.pareto import pareto_k
from infer.run import run

from ..targets import normal

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)) @ np.array([[1, 0.8, 0], [0, 1, 0.5], [0, 0, 1]])
Y = X @ np.array([1.0, 2.0, -1.0]) + RNG.normal(size=50)
# Prior b ~ IndependentNormal(0, 3), noise of unit variance.
PRECISION = X.T @ X + np.eye(3) / 9
COVARIANCE = np.linalg.inv(PRECISION)
MEAN = COVARIANCE @ X.T @ Y
SD = np.sqrt(np.diag(COVARIANCE))
EVIDENCE = stats.multivariate_normal(np.zeros(50), np.eye(50) + 9 * X @ X.T).logpdf(Y)


def regression(site, x, y):
    b = site("b", dist.Normal(0.0, 3.0), shape=(3,))
    site.observe("y", dist.Normal(x @ b, 1.0), y)


@pytest.fixture(scope="module")
def fits():
    model = infer.model(regression, x=X, y=Y)
    return {f: infer.fit(model, infer.ADVI(f)) for f in ("full_rank", "mean_field")}


def test_full_rank_converges_to_the_posterior(fits):
    normal = fits["full_rank"].distribution
    np.testing.assert_allclose((normal.mean - MEAN) / SD, 0, atol=0.02)
    covariance = normal.scale @ normal.scale.T
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), SD, rtol=0.02)
    correlation = covariance / np.outer(SD, SD)
    np.testing.assert_allclose(correlation, COVARIANCE / np.outer(SD, SD), atol=0.02)


def test_a_fit_that_goes_on_is_compiled_again_to_run_fast(monkeypatch):
    monkeypatch.setattr(run, "BRIEF", 20)
    begun = infer.start(normal(), infer.ADVI("full_rank", epoch=1), chains=1, progress=False)
    forms = [begun.plan.form]
    begun.advance(1)
    assert [*forms, begun.plan.form] == ["brief", "native"]
    long = infer.start(normal(), infer.ADVI("full_rank"), chains=1, progress=False)
    assert long.plan.form == "native"


def test_full_rank_elbo_equals_the_evidence(fits):
    np.testing.assert_allclose(fits["full_rank"].elbo, EVIDENCE, atol=0.01)


def test_the_elbo_is_that_of_the_returned_normal(fits):
    """A closed form, within four standard errors: false alarms, one in 16,000."""
    fit = dataclasses.replace(fits["mean_field"], losses=np.zeros(1))
    mean, sd = np.asarray(fit.distribution.mean), np.asarray(fit.distribution.scale)
    difference = mean - MEAN
    kl = 0.5 * (np.trace(PRECISION * sd**2) + difference @ PRECISION @ difference - 3)
    kl -= np.log(sd).sum() + 0.5 * np.linalg.slogdet(PRECISION)[1]
    assert fit.elbo_se < 0.1
    assert abs(fit.elbo - (EVIDENCE - kl)) < 4 * fit.elbo_se


def test_the_elbo_of_a_minibatch_is_the_mean_of_the_last_epochs():
    def in_batches(site, x, y):
        b = site("b", dist.Normal(0.0, 3.0), shape=(3,))
        with site.plate("row", 50, minibatch=10) as rows:
            site.observe("y", dist.Normal(x[rows] @ b, 1.0), y[rows])

    density = infer.log_density(infer.model(in_batches, x=X, y=Y))
    normal, losses = IndependentNormal(jnp.zeros(3), jnp.ones(3)), np.array([10.0, 14.0])
    fit = infer.Approximation(density, normal, "mean_field", losses, 0.0, True, {})
    assert fit.elbo == -12
    np.testing.assert_allclose(fit.elbo_se, 2 / np.sqrt(2))
    assert fit.findings == ()


def test_a_normal_that_reaches_impossible_values_has_no_finite_elbo(fits):
    """A standard normal has 45 of 2000 draws above 2 on average."""
    cut = infer.declared(
        lambda v: jnp.where(v["x"] < 2, -(v["x"] ** 2), -jnp.inf), {"x": bj.Real()}
    )
    normal = IndependentNormal(jnp.zeros(1), jnp.ones(1))
    fit = infer.Approximation(
        infer.log_density(cut), normal, "mean_field", np.zeros(1), 0.0, True, {}
    )
    assert fit.elbo == -np.inf
    assert np.isnan(fit.elbo_se)
    assert "not finite at" in fit.findings[0]
    assert fit.findings[0].kind == "elbo_not_finite"


def test_mean_field_converges_to_the_analytic_optimum(fits):
    """The best independent normal has the posterior's mean and variances 1 / precision."""
    normal = fits["mean_field"].distribution
    np.testing.assert_allclose((normal.mean - MEAN) / SD, 0, atol=0.02)
    np.testing.assert_allclose(normal.scale, 1 / np.sqrt(np.diag(PRECISION)), rtol=0.02)


def test_fits_converge_and_report_khat(fits):
    assert all(fit.converged for fit in fits.values())
    assert fits["full_rank"].khat < 0.2
    assert fits["full_rank"].khat < fits["mean_field"].khat


def test_draws_follow_the_reported_log_density(fits):
    fit = fits["full_rank"]
    draws = fit.positions(4000, key=2)
    np.testing.assert_allclose(draws.std(0), SD, rtol=0.06)
    exact = dist.MultivariateNormal(
        fit.distribution.mean, scale_tril=fit.distribution.scale
    ).log_prob(draws)  # fmt: skip
    np.testing.assert_allclose(fit.log_prob(draws), exact, rtol=1e-8)
    with pytest.raises(infer.RunError, match=r"not of shape \(draws, "):
        fit.log_prob(draws[:, :-1])
    assert fit.sample(10)["posterior"]["b"].shape == (1, 10, 3)


def test_a_fit_that_stops_early_has_not_converged():
    model = infer.model(regression, x=X, y=Y)
    assert not infer.fit(model, infer.ADVI(tolerance=1e-9), epochs=20).converged


@pytest.mark.slow
def test_the_fit_does_not_depend_on_the_scale_of_the_posterior():
    """Steps are in units of the approximation; the start is 100 standard deviations away."""

    def far(site, y):
        m = site("m", dist.Normal(0.0, 100.0))
        site.observe("y", dist.Normal(m, 1e-2), y)

    fit = infer.fit(infer.model(far, y=np.array([50.0])), starts={"m": 49.0})
    np.testing.assert_allclose(fit.distribution.mean, 50, atol=2e-4)
    np.testing.assert_allclose(fit.distribution.scale, 1e-2, rtol=0.02)


@pytest.mark.slow
def test_a_fit_that_skipped_all_steps_has_not_converged():
    half = infer.declared(
        lambda v: jnp.where((v["x"] > 0).all(), -v["x"].sum(), -jnp.inf),
        {"x": bj.Real(shape=(2,))},
    )
    fit = infer.fit(half, starts={"x": np.full(2, 0.01)}, epochs=40)
    assert not fit.converged


def normal_of(covariance, mean):
    precision = jnp.asarray(np.linalg.inv(covariance))

    def density(values):
        centered = values["x"] - jnp.asarray(mean)
        return -0.5 * centered @ precision @ centered

    return infer.declared(density, {"x": bj.Real(shape=(len(mean),))})


RNG_SCALES = np.random.default_rng(1)
SCALES = 10.0 ** RNG_SCALES.uniform(-3, 2, 40)
NORMALS = {
    "independent": np.eye(100),
    "correlated": 0.5 * np.eye(100) + 0.5,
    "scales": np.diag(SCALES**2),
}
# Drawn here, so that they do not depend on which tests run.
MEANS = {name: RNG_SCALES.normal(size=len(covariance)) for name, covariance in NORMALS.items()}


@pytest.mark.usefixtures("compiled_as_released")
@pytest.mark.parametrize(
    ("name", "x64"),
    [(name, x64) for x64 in (False, True) for name in NORMALS],
)
@pytest.mark.slow
def test_full_rank_converges_in_many_dimensions_and_at_any_scale(name, x64):
    covariance = NORMALS[name]
    sd = np.sqrt(np.diag(covariance))
    mean = sd * MEANS[name]
    jax.config.update("jax_enable_x64", x64)
    try:
        fit = infer.fit(normal_of(covariance, mean), infer.ADVI("full_rank"), progress=False)
        assert fit.converged
        assert fit.khat < 0.7
        assert fit.findings == ()
    finally:
        jax.config.update("jax_enable_x64", True)
    np.testing.assert_allclose((np.asarray(fit.distribution.mean) - mean) / sd, 0, atol=0.05)
    scale = np.asarray(fit.distribution.scale)
    np.testing.assert_allclose(np.sqrt((scale**2).sum(1)), sd, rtol=0.05)
    np.testing.assert_allclose(
        fit.elbo, 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1], atol=0.1
    )


def test_a_fit_that_ends_below_its_initial_elbo_has_not_converged(fits):
    """With a learning rate of 100 the scale overshoots and does not recover."""
    with pytest.warns(infer.FitWarning, match=r"ELBO|settle"):
        fit = infer.fit(
            infer.model(regression, x=X, y=Y), infer.ADVI(learning_rate=100.0), epochs=40,
            progress=False,
        )  # fmt: skip
    assert not fit.converged
    worse = dataclasses.replace(
        fits["full_rank"], initial_elbo=float(EVIDENCE) + 3, converged=False
    )
    assert "below the initial" in worse.findings[0]
    assert worse.findings[0].kind == "diverged_fit"
    lost = dataclasses.replace(worse, losses=np.array([np.nan]))
    assert "the ELBO is not finite" in lost.findings[0]
    assert lost.findings[0].kind == "elbo_not_finite"


def test_log_ratios_are_accurate_in_single_precision():
    """The target is ten times as wide, in 30 dimensions; ratios are compared at the same draws."""
    size = 30
    jax.config.update("jax_enable_x64", False)
    try:
        density = infer.log_density(normal_of(100 * np.eye(size), np.zeros(size)))
        normal = IndependentNormal(jnp.zeros(size), jnp.ones(size))
        fit = infer.Approximation(density, normal, "mean_field", np.zeros(1), 0.0, True, {})
        positions = fit.positions(2000, key=1).astype(np.float64)
        np.testing.assert_allclose(
            fit.log_prob(positions), dist.Normal(0, 1).log_prob(positions).sum(1), rtol=1e-5
        )
        draws = np.concatenate([positions, *(fit.positions(2000, key=k) for k in range(2, 11))])
        exact = 0.5 * (1 - 0.01) * (draws.astype(np.float64) ** 2).sum(1)
        assert fit.khat > 0.7
        np.testing.assert_allclose(fit.khat, pareto_k(exact), atol=0.01)
        assert "its sd by a factor of" in fit.findings[0]
        assert (fit.findings[0].kind, infer.verdict(fit).findings) == ("failed_audit", fit.findings)
    finally:
        jax.config.update("jax_enable_x64", True)


def test_khat_is_nan_if_rounding_dominates_the_ratios():
    size = 3
    jax.config.update("jax_enable_x64", False)
    try:
        model = infer.declared(
            lambda v: -0.5 * (v["x"] ** 2).sum() + 1e8, {"x": bj.Real(shape=(size,))}
        )
        normal = IndependentNormal(jnp.zeros(size), jnp.ones(size))
        density = infer.log_density(model)
        fit = infer.Approximation(density, normal, "mean_field", np.zeros(1), 0.0, True, {})
        assert np.isnan(fit.khat)
        assert "double precision" in fit.findings[0]
        assert fit.findings[0].kind == "unknown_khat"
    finally:
        jax.config.update("jax_enable_x64", True)


def test_the_repr_of_an_approximation_is_one_line(fits):
    fits["full_rank"].khat  # noqa: B018 - it is shown once it is known
    shown = repr(fits["full_rank"])
    assert shown.startswith("Approximation(full_rank normal of 3 coordinates: b, converged, elbo=")
    assert "khat=" in shown
    assert "<table>" in fits["full_rank"]._repr_html_()
