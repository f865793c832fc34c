"""Posteriors in Stan and in JAX have the same densities, gradients and Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infer

from .posteriors import POSTERIORS

pytest.importorskip("stanli")
pytest.importorskip("bridgestan")


@pytest.mark.parametrize("name", POSTERIORS)
def test_density_and_gradient_are_equal_at_twenty_points(name):
    program, data, model = POSTERIORS[name]
    theirs, ours = infer.log_density(infer.from_stan(program, data)), infer.log_density(model)
    assert theirs.size == ours.size
    points = jnp.asarray(np.random.default_rng(3).uniform(-2, 2, (20, ours.size)))
    value, slope = jax.jit(jax.vmap(theirs.evaluate))(points)
    expected, expected_slope = jax.jit(jax.vmap(ours.evaluate))(points)
    # Stan drops constants.
    apart, size = value - expected, np.abs(expected).max()
    np.testing.assert_allclose(apart - apart[0], 0, atol=1e-10 * size)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-9, atol=1e-9)
