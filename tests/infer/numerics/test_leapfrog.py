"""The leapfrog step is reversible, of second order, and preserves volume."""

import jax
import jax.numpy as jnp
import numpy as np

from infer.numerics.leapfrog import energy, leapfrog, start_trajectory
from infer.numerics.metric import Diagonal


def log_density(q):
    return -jnp.sum(jnp.cosh(q) * jnp.array([1.0, 0.5, 2.0])) - 0.1 * q[0] * q[1]


evaluate = jax.value_and_grad(log_density)
METRIC = Diagonal(jnp.array([1.0, 2.0, 0.5]))


@jax.jit
def move(point, step):
    return leapfrog(evaluate, point, step, METRIC)


@jax.jit
def start():
    q = jnp.array([0.3, -0.8, 0.1])
    value, gradient = evaluate(q)
    return start_trajectory(q, jnp.array([1.0, -0.4, 0.7]), gradient, value, METRIC)


def test_leapfrog_is_reversible():
    there = move(start(), 0.1)
    back = move(there, -0.1)
    for found, wanted in zip(back[:5], start()[:5], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_leapfrog_has_an_energy_error_of_second_order():
    def error(step, steps):
        point = start()
        for _ in range(steps):
            point = move(point, step)
        return float(energy(point) - energy(start()))

    np.testing.assert_allclose(error(0.02, 20) / error(0.01, 40), 4.0, rtol=0.02)


def test_leapfrog_preserves_volume():
    def flow(z):
        value, gradient = evaluate(z[:3])
        begin = start_trajectory(z[:3], z[3:], gradient, value, METRIC)
        moved = leapfrog(evaluate, begin, jnp.asarray(0.3), METRIC)
        return jnp.concatenate([moved.position, moved.momentum])

    jacobian = jax.jit(jax.jacfwd(flow))(jnp.concatenate([start().position, start().momentum]))
    np.testing.assert_allclose(np.linalg.det(jacobian), 1.0, rtol=1e-10)
