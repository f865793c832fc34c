"""Sites centered partly or not at all: the posterior does not change."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors as bj
import infer

L = np.linalg.cholesky(np.array([[2.0, 0.6], [0.6, 0.5]]))
LOC = np.array([1.0, -2.0])
PRIORS = {
    "normal": dist.Normal(LOC, 0.3),
    "student": dist.StudentT(3.0, 0.7, jnp.array([0.3, 2.0])),
    "log-normal": dist.LogNormal(LOC, 0.3),
    "multivariate": dist.MultivariateNormal(LOC, scale_tril=L),
    "batch": dist.MultivariateNormal(np.stack([LOC, 2 * LOC]), scale_tril=np.stack([L, 3 * L])),
    "shared": dist.MultivariateNormal(LOC, scale_tril=L).expand([3]),
}


def density(prior, jacobian=True, **options):
    return infer.log_density(
        infer.model(lambda site: site("x", prior, **options)), jacobian=jacobian
    )


@pytest.mark.parametrize("name", PRIORS)
def test_the_density_of_the_value_is_that_of_the_prior(name):
    prior = PRIORS[name]
    d = density(prior, jacobian=False, centered=False)
    position = np.linspace(-1.0, 1.5, d.size)

    @jax.jit
    def evaluate(position):
        value = d.constrain(position)["x"]
        return value, d(position), prior.log_prob(value).sum()

    value, found, wanted = evaluate(position)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    np.testing.assert_allclose(d.unconstrain({"x": value}), position, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["normal", "log-normal", "multivariate", "batch", "shared"])
def test_non_centered_coordinates_are_standard(name):
    d = density(PRIORS[name], centered=False)
    position = np.linspace(-1.0, 1.5, d.size)
    np.testing.assert_allclose(jax.jit(d)(position), stats.norm.logpdf(position).sum(), rtol=1e-12)


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0, np.array([0.2, 0.9])])
def test_partial_centering_is_the_map_of_the_formula(part):
    d = density(PRIORS["normal"], centered=part)
    y = np.array([0.4, -0.2])
    value = LOC + 0.3 ** (1 - part) * (y - part * LOC)
    constrained, found = jax.jit(lambda y: (d.constrain(y)["x"], d(y)))(y)
    np.testing.assert_allclose(constrained, value, rtol=1e-12)
    log_det = ((1 - part) * np.log(0.3) * np.ones(2)).sum()
    wanted = stats.norm.logpdf(value, LOC, 0.3).sum() + log_det
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_the_degree_of_centering_may_be_data():
    def model(part):
        return infer.model(
            lambda site, part: site("x", dist.Normal(1.0, 2.0), centered=part), part=part
        )

    values = [infer.log_density(model(p)).constrain(jnp.ones(1))["x"] for p in (0.0, 1.0)]
    np.testing.assert_allclose(values, [3.0, 1.0])


def test_a_map_may_hold_an_offset_and_a_multiplier_declared_before():
    def model(site):
        mu = site("mu", dist.Normal(0.0, 1.0))
        tau = site("tau", dist.HalfNormal(1.0))
        prior = dist.Logistic(mu, tau)
        site("x", prior, shape=(2,), bijector=bj.Affine(mu, tau))

    d = infer.log_density(infer.model(model))
    both = jax.jit(lambda q: (d.constrain(q), d.terms(q)))
    values, terms = both(np.array([0.5, 0.2, 1.0, -1.0]))
    np.testing.assert_allclose(values["x"], 0.5 + np.exp(0.2) * np.array([1.0, -1.0]))
    truth = stats.logistic.logpdf(values["x"], 0.5, np.exp(0.2)).sum()
    np.testing.assert_allclose(terms["x"], truth, rtol=1e-10)


def test_a_narrow_multivariate_normal_is_accurate():
    prior = dist.MultivariateNormal(1e6 * np.ones(2), scale_tril=1e-12 * L)
    y = np.array([0.3, -0.7])
    d = density(prior, centered=False)
    np.testing.assert_allclose(jax.jit(d)(y), stats.norm.logpdf(y).sum(), rtol=1e-12)


def test_distributions_without_location_and_scale_are_refused():
    with pytest.raises(infer.ModelError, match=r"x: centered=0.5.*Gamma.*Normal"):
        density(dist.Gamma(1.0, 1.0), centered=0.5)
    with pytest.raises(infer.ModelError, match=r"x: centered=0.5.*LogNormal has none"):
        density(dist.LogNormal(0.0, 1.0), centered=0.5)
    with pytest.raises(infer.ModelError, match="x: both centered= and bijector="):
        density(dist.Normal(0.0, 1.0), centered=False, bijector=bj.Affine(0.0, 1.0))


SINGLE = jnp.asarray(L, jnp.float32)


@pytest.mark.parametrize(
    ("prior", "options"),
    [
        (dist.MultivariateNormal(jnp.zeros(2), scale_tril=SINGLE), {"centered": False}),
        (dist.Wishart(5.0, scale_tril=SINGLE), {}),
        (dist.WishartCholesky(5.0, scale_tril=SINGLE), {}),
    ],
    ids=["whitened", "Wishart", "its factor"],
)
def test_parameters_in_single_precision_are_promoted(prior, options):
    d = density(prior, jacobian=False, **options)
    position = jnp.linspace(-1.0, 1.5, d.size)
    value = d.constrain(position)["x"]
    np.testing.assert_allclose(d(position), prior.log_prob(value), rtol=1e-6)
    np.testing.assert_allclose(d.unconstrain({"x": value}), position, rtol=1e-6, atol=1e-6)
