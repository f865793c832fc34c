"""Compare a posterior of a Stan program with the same one in JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from infer.density.base import LogDensity


def compare_values(theirs: LogDensity, ours: LogDensity, bound: float):
    """Compare log densities at twenty points within a bound; return the gradients of both.

    They may differ by a constant, which Stan drops; in nats, by 1e-10 of the largest one.
    """
    assert theirs.size == ours.size
    points = jnp.asarray(np.random.default_rng(3).uniform(-bound, bound, (20, ours.size)))
    value, slope = jax.jit(jax.vmap(theirs.evaluate))(points)
    expected, expected_slope = jax.jit(jax.vmap(ours.evaluate))(points)
    apart, size = value - expected, np.abs(expected).max()
    np.testing.assert_allclose(apart - apart[0], 0, atol=1e-10 * size)
    return slope, expected_slope
