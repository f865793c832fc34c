"""The parts of a posterior: the prior that can be drawn from, the rest, and a normal prior."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer

Y = np.array([0.3, -1.2, 0.8])
POSITION = jnp.array([0.4, -0.3])


def regression(site, y):
    mu = site("mu", dist.Normal(1.0, 2.0))
    sigma = site("sigma", dist.Gamma(2.0, 1.5))
    site.factor("shrink", -0.1 * mu**2)
    site.observe("y", dist.Normal(mu, sigma), y)


DENSITY = infer.log_density(infer.model(regression, y=Y))


def test_the_parts_sum_to_the_density_and_to_its_gradient():
    summed = jax.jit(jax.value_and_grad(lambda q: sum(DENSITY.parts(q))))
    whole = jax.jit(lambda q: DENSITY.evaluate(q))
    for found, right in zip(summed(POSITION), whole(POSITION), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12)


def test_factors_belong_to_the_likelihood_and_the_log_determinant_to_the_prior():
    mu, sigma = 0.4, np.exp(-0.3)
    prior = dist.Normal(1.0, 2.0).log_prob(mu) + dist.Gamma(2.0, 1.5).log_prob(sigma) - 0.3
    likelihood = dist.Normal(mu, sigma).log_prob(Y).sum() - 0.1 * mu**2
    np.testing.assert_allclose(DENSITY.parts(POSITION), (prior, likelihood), rtol=1e-12)


def test_the_prior_of_a_frozen_site_belongs_to_the_likelihood():
    """It depends on a latent site, whose prior draws do not account for it."""

    def nested(site):
        mu = site("mu", dist.Normal(0.0, 1.0))
        site("theta", dist.Normal(mu, 0.5))

    density = infer.log_density(infer.model(nested).freeze(theta=2.0))
    parts = density.parts(jnp.array([0.7]))
    np.testing.assert_allclose(parts.prior, dist.Normal(0.0, 1.0).log_prob(0.7))
    np.testing.assert_allclose(parts.likelihood, dist.Normal(0.7, 0.5).log_prob(2.0))


def test_parts_are_offered_if_every_site_has_a_prior():
    assert "parts" in DENSITY.offers
    flat = infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()})
    assert "parts" not in infer.log_density(flat).offers


def test_linearly_dependent_normal_sites_are_jointly_normal():
    covariance = np.array([[2.0, 0.6], [0.6, 1.0]])

    def chained(site, y):
        first = site("first", dist.MultivariateNormal(jnp.array([1.0, -1.0]), covariance))
        second = site("second", dist.Normal(2.0 * first[0] + 3.0, 0.5))
        site.observe("y", dist.Normal(second, 1.0), y)

    found = infer.log_density(infer.model(chained, y=1.0)).normal_prior()
    by_hand = np.zeros((3, 3))
    by_hand[:2, :2] = covariance
    by_hand[2, :2] = by_hand[:2, 2] = 2.0 * covariance[0]
    by_hand[2, 2] = 4.0 * covariance[0, 0] + 0.25
    np.testing.assert_allclose(found.mean, [1.0, -1.0, 5.0], rtol=1e-10)
    np.testing.assert_allclose(found.covariance, by_hand, rtol=1e-10)


def test_sites_whose_scale_depends_on_others_are_not_jointly_normal():
    def funnel(site):
        depth = site("depth", dist.Normal(0.0, 1.0))
        site("x", dist.Normal(0.0, jnp.exp(depth)))

    with pytest.raises(
        infer.ModelError, match="not jointly normal in the flat vector.*centered=False"
    ):
        infer.log_density(infer.model(funnel)).normal_prior()
