"""Densities of many sites are evaluated once for all that use them."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer
from infer.density.once import MANY_SITES, evaluate_once


def test_a_density_of_many_sites_has_the_same_value_and_gradient():
    def program(site):
        values = [site(f"x{i}", dist.Normal(0.1 * i, 1.0)) for i in range(MANY_SITES)]
        site.factor("sum", -0.5 * jnp.stack(values).sum() ** 2)

    density = infer.log_density(infer.model(program))
    q = np.linspace(-1, 1, MANY_SITES)
    traced = jax.make_jaxpr(density.evaluate)(q)
    assert "cond" in [equation.primitive.name for equation in traced.eqns]
    value, gradient = jax.jit(density.evaluate)(q)
    apart = q - 0.1 * np.arange(MANY_SITES)
    expected = -0.5 * (apart**2 + np.log(2 * np.pi)).sum() - 0.5 * q.sum() ** 2
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, -apart - q.sum(), rtol=1e-12, atol=1e-12)


def test_outside_of_all_numbers_nothing_is_finite():
    both = jax.value_and_grad(lambda q: -(q**2).sum())
    value, gradient = evaluate_once(both, MANY_SITES, jnp.array([1.0, jnp.inf]))
    assert np.isnan(value)
    assert np.isnan(gradient).all()
